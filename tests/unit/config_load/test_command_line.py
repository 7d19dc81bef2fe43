"""Settings of `stagedoor login`: read, kept in the frame, and every one that would let nobody in refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway import config, config_load
from gateway.config.sign_in import CommandLine

HEAD = """\
listeners: [{name: main, address: "127.0.0.1:8443"}]
catalog: {files: [catalog]}
access_policy: access.yaml
state: {folder: state}
environments: {prod: {hosts: [.example.com], upstreams: [10.0.0.0/8]}}
"""
CENTRAL = "central_host: door.example.com\n"


def load(
    folder: Path, said: str, more: str = "", central: str = CENTRAL, issuer: str = "https://sso.test"
) -> config.Settings:
    (folder / "access.yaml").write_text("version: 1\n")
    (folder / "secret").touch(0o600)
    (folder / "secret").write_text("s3cret\n")
    text = f"issuers:\n  - {{name: sso, issuer: '{issuer}', audiences: [api], command_line: {{{said}}}, {more}}}\n"
    (folder / "stagedoor.yaml").write_text(HEAD + central + text)
    return config_load.load(folder / "stagedoor.yaml", {})


USUAL = "match: {sub: metadata.name}"


@pytest.mark.parametrize(
    ("said", "read"),
    [
        ("client_id: laptop", CommandLine("laptop")),
        ("client_id: laptop, scopes: [openid], resource: api", CommandLine("laptop", ("openid",), "api")),
    ],
)
def test_what_is_said_is_read_and_reaches_every_process(tmp_path: Path, said: str, read: CommandLine) -> None:
    settings = load(tmp_path, said, USUAL)
    assert settings.issuers[0].command_line == read
    assert config.decode(config.encode(settings)) == settings


@pytest.mark.parametrize(
    ("said", "words"), [("", ("gold",)), (", mfa_acr_values: [silver]", ("silver",)), (", mfa_acr_values: []", ())]
)
def test_words_for_a_second_factor_are_those_of_the_client_unless_it_says_others(
    tmp_path: Path, said: str, words: tuple[str, ...]
) -> None:
    client = ", client: {id: door, secret_file: secret, mfa_acr_values: [gold]}"
    settings = load(tmp_path, f"client_id: laptop{said}", USUAL + client)
    assert settings.issuers[0].command_line is not None
    assert settings.issuers[0].command_line.mfa_acr_values == words


@pytest.mark.parametrize(
    ("said", "others", "why"),
    [
        ("client_id: laptop", {"central": ""}, "`command_line` needs `central_host`"),
        ("client_id: api", {}, "would pass for an access token"),
        ("client_id: laptop, scopes: ['openid profile']", {}, "a scope holds no space"),
        ("client_id: laptop, resource: other", {}, "tokens for `other` would be refused"),
        ("client_id: door", {"more": USUAL + ", client: {id: door, secret_file: secret}"}, "can keep none"),
        ("client_id: laptop", {"more": "preset: kubernetes"}, "knows programs alone"),
        ("client_id: laptop", {"issuer": "https://login.test/{tenantid}/v2.0", "more": "preset: entra, tenants: ["
         "5f1d9b1e-7c55-4f0e-9f1a-2f6d0c1b7a10], match: {oid: metadata.name}"}, "which tenant"),
        ("client_id: laptop, secret_file: x", {}, "secret_file"),
        ("scopes: [openid]", {}, "client_id"),
    ],
)  # fmt: skip
def test_what_would_let_nobody_in_is_refused(tmp_path: Path, said: str, others: dict[str, str], why: str) -> None:
    with pytest.raises(config_load.ConfigFaults, match=why):
        load(tmp_path, said, **{"more": USUAL, **others})
