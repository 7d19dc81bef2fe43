"""Settings that say who somebody is: read from YAML, and every combination that would go wrong in silence refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway import config, config_load
from gateway.config import Introspection
from tests.support.client_authority import ClientAuthority
from tests.support.tokens import NOW

HEAD = """\
environments:
  prod:
    hosts: [.example.com]
    upstreams: [10.0.0.0/8]
catalog: {files: [catalog]}
access_policy: access.yaml
state: {folder: state}
"""
PLAIN = 'listeners: [{name: main, address: "127.0.0.1:8443"}]\n'
MATCH = "match: {sub: metadata.name}"
ASKED = "client_id: door, client_secret_file: secret"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "access.yaml").write_text("version: 1\n")
    (tmp_path / "secret").write_text("s3cret\n")
    authority = ClientAuthority(now=NOW)
    authority.own.write(tmp_path, "ca")
    authority.leaf().write(tmp_path, "door")
    return tmp_path


def load(folder: Path, text: str) -> config.Settings:
    (folder / "stagedoor.yaml").write_text(HEAD + text)
    return config_load.load(folder / "stagedoor.yaml", {})


def faults_of(folder: Path, text: str) -> list[str]:
    """Without their places."""
    with pytest.raises(config_load.ConfigFaults) as raised:
        load(folder, text)
    return [line.partition(": ")[2] for line in str(raised.value).splitlines()]


def issuers(*lines: str) -> str:
    return PLAIN + "issuers:\n" + "".join(f"  - {{{line}}}\n" for line in lines)


def idp(name: str, introspection: str = "", more: str = MATCH) -> str:
    asked = f", introspection: {{{introspection}}}" if introspection else ""
    return f"name: {name}, issuer: 'https://{name}.test', audiences: [api], {more}{asked}"


# === introspection ===


def test_an_issuer_is_asked_as_the_file_says(folder: Path) -> None:
    said = (
        f"{ASKED}, url: 'https://one.test/introspect', prefixes: [one_, eins_], cache: 90s, tokens: all, "
        "without_sub: client"
    )
    settings = load(folder, issuers(idp("one", said), idp("two", ASKED)))
    assert settings.issuers[0].introspection == Introspection(
        "door", str(folder / "secret"), "https://one.test/introspect", ("one_", "eins_"), 90.0, "all", "client"
    )
    assert settings.issuers[1].introspection == Introspection("door", str(folder / "secret"))
    assert config.decode(config.encode(settings)) == settings, "doors get it as it was read"
    assert b"s3cret" not in config.encode(settings)


@pytest.mark.parametrize(
    ("lines", "fault"),
    [
        ([idp("one", ASKED), idp("two", ASKED)],
         "issuer `two` is never asked about tokens of any beginning: `one` comes first; "
         "say `prefixes` for all of them but the last"),
        ([idp("one", ASKED), idp("two", f"{ASKED}, prefixes: [two_]")],
         "issuer `two` is never asked about tokens that begin `two_`: `one` comes first; put `one` behind it"),
        ([idp("one", f"{ASKED}, prefixes: [t]"), idp("two", f"{ASKED}, prefixes: [two_]")],
         "issuer `two` is never asked about tokens that begin `two_`: `one` comes first; put `one` behind it"),
        ([idp("one", f"{ASKED}, prefixes: [x_]"), idp("two", f"{ASKED}, prefixes: [x_]")],
         "issuer `two` is never asked about tokens that begin `x_`: `one` comes first; put `one` behind it"),
        ([idp("one", f"{ASKED}, tokens: signed, prefixes: [x_]")],
         "issuer `one`: `prefixes` are of opaque tokens; leave them out"),
        ([idp("one", f"{ASKED}, cache: 1s")],
         "issuer `one`: an answer that counts for less than 5s is asked for with every request; "
         "write `cache: 5s` or longer"),
        ([idp("one", f"{ASKED}, url: 'http://one.test/introspect'")], "issuer `one` is reached without TLS; use https"),
        ([idp("one", f"{ASKED}, url: 'https://u:p@one.test/'")],
         "`issuers.0.introspection.url`: `https://u:p@one.test/` is no address of an endpoint; "
         "write `https://login.example.com/introspect`"),
        ([idp("one", f"{ASKED}, prefixes: ['a b']")],
         "`issuers.0.introspection.prefixes.0`: `a b` begins no bearer token; "
         "write letters, digits and `._~+/-`, at most 64"),
        ([idp("one", "client_id: door")], "`issuers.0.introspection.client_secret_file` is missing"),
        ([idp("one", f"{ASKED}, client_secret: s3cret")],
         "unknown key `issuers.0.introspection.client_secret`; did you mean `client_secret_file`"),
    ],
)  # fmt: skip
def test_introspection_that_cannot_be_meant_is_refused(folder: Path, lines: list[str], fault: str) -> None:
    assert faults_of(folder, issuers(*lines)) == [fault]


def test_prefixes_in_the_other_order_are_unambiguous(folder: Path) -> None:
    lines = (idp("two", f"{ASKED}, prefixes: [two_]"), idp("t", f"{ASKED}, prefixes: [t]"), idp("rest", ASKED))
    assert len(load(folder, issuers(*lines, idp("signed", f"{ASKED}, tokens: signed"))).issuers) == 4


@pytest.mark.parametrize(
    ("content", "why"), [(None, "cannot read"), ("", "it is empty"), ("a\nb", "it holds more than one line of text")]
)
def test_a_file_without_a_secret_is_refused(folder: Path, content: str | None, why: str) -> None:
    (folder / "secret").unlink()
    if content is not None:
        (folder / "secret").write_text(content)
    (fault,) = faults_of(folder, issuers(idp("one", ASKED)))
    assert why in fault
    assert fault.endswith("write the secret into it, one line and nothing else")


# === platforms ===


def test_conditions_on_programs_may_be_lists(folder: Path) -> None:
    line = (
        "name: github, preset: github-actions, issuer: 'https://token.actions.test', audiences: [door], "
        "workload_when: {event_name: [push, pull_request], repository_owner_id: '6811672'}"
    )
    (issuer,) = load(folder, issuers(line)).issuers
    assert issuer.workload_when == {"event_name": ("push", "pull_request"), "repository_owner_id": "6811672"}


def test_a_trust_domain_is_an_issuer(folder: Path) -> None:
    line = (
        "name: mesh, preset: spiffe, issuer: 'spiffe://marlow.example', audiences: [door], "
        "jwks_uri: 'https://spire.test/keys'"
    )
    (issuer,) = load(folder, issuers(line)).issuers
    assert issuer.issuer == "spiffe://marlow.example"


@pytest.mark.parametrize(
    "domain", ["spiffe://Marlow", "spiffe://marlow/x", "spiffe://", "spiffe://u@marlow", "spiffe:x"]
)
def test_what_is_no_trust_domain_is_no_issuer(folder: Path, domain: str) -> None:
    line = f"name: mesh, preset: spiffe, issuer: '{domain}', audiences: [door], jwks_uri: 'https://spire.test/keys'"
    (fault,) = faults_of(folder, issuers(line))
    assert "is no issuer" in fault


# === listeners ===

TLS = "tls: {certificate: door.pem, key: door.key, client_ca: ca.pem}"
NO_CA = "tls: {certificate: door.pem, key: door.key}"


def listener(*said: str) -> str:
    return f'listeners: [{{name: main, address: "127.0.0.1:8443", {", ".join(said)}}}]\n'


def test_listeners_that_know_their_clients_certificates(folder: Path) -> None:
    (direct,) = load(folder, listener(TLS, "direct: true")).listeners
    assert direct.direct
    passed = listener(TLS, "trusted_peers: [10.0.0.0/8]", "client_certificate_header: X-Client-Cert")
    (behind,) = load(folder, passed).listeners
    assert behind.client_certificate_header == "x-client-cert"


@pytest.mark.parametrize(
    ("said", "faults"),
    [
        (["direct: true"], ["`direct` needs `tls.client_ca`; say who signs the clients' certificates"]),
        ([NO_CA, "direct: true"], ["`direct` needs `tls.client_ca`; say who signs the clients' certificates"]),
        ([TLS, "direct: true", "trusted_peers: [10.0.0.0/8]"],
         ["`direct` has no peer in between that could be trusted; leave out `trusted_peers` and `bigip`, or `direct`"]),
        ([TLS, "direct: true", "bigip: true"],
         ["`direct` has no peer in between that could be trusted; leave out `trusted_peers` and `bigip`, or `direct`"]),
        ([TLS, "client_certificate_header: x-cert"],
         ["`client_certificate_header` is read from `trusted_peers` alone; name the peers that write it"]),
        ([NO_CA, "trusted_peers: [10.0.0.0/8]", "client_certificate_header: x-cert"],
         ["`client_certificate_header` needs `tls.client_ca`; say who signs the clients' certificates"]),
        ([TLS, "trusted_peers: [10.0.0.0/8]", "client_certificate_header: X-Forwarded-For"],
         ["`x-forwarded-for` has another meaning; use a name of your own, `x-client-cert`"]),
        ([TLS, "trusted_peers: [10.0.0.0/8]", "client_certificate_header: Authorization"],
         ["`authorization` has another meaning; use a name of your own, `x-client-cert`"]),
    ],
)  # fmt: skip
def test_a_listener_on_which_a_certificate_would_say_nothing_is_refused(
    folder: Path, said: list[str], faults: list[str]
) -> None:
    assert faults_of(folder, listener(*said)) == [f"listener `main`: {fault}" for fault in faults]


def test_authorities_that_sign_nothing_are_refused(folder: Path) -> None:
    (folder / "ca.pem").write_bytes((folder / "door.pem").read_bytes())
    (fault,) = faults_of(folder, listener(TLS, "direct: true"))
    assert "ca.pem` holds no authority that stands for itself" in fault
