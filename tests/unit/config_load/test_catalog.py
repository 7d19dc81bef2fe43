"""Where the catalog is read: what would be believed in silence, though nobody meant it, is a fault with its place."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway import config
from gateway.config.sources import Backstage, ClientCredentials, Origins
from tests.support.certificates import make
from tests.unit.config_load.test_load import MINIMAL, faults_of, load

URL = "https://backstage.example.com"
ONE = f"backstage: [{{url: '{URL}', token_file: t}}]"

CLIENT = "{url: 'https://idp.example.com/token', client_id: stagedoor, client_secret_file: t}"


def text(catalog: str) -> str:
    return MINIMAL.replace("catalog: {files: [catalog]}", f"catalog: {{{catalog}}}")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "access.yaml").write_text("version: 1\n")
    (tmp_path / "t").write_text("a-token\n")
    return tmp_path


def test_a_catalog_needs_an_address_and_a_token_file_and_no_more(folder: Path) -> None:
    settings = load(folder, text(ONE))
    assert settings.catalog.backstage == (Backstage("backstage", URL, str(folder / "t")),)
    assert (settings.catalog.files, settings.catalog.origins) == ((), None)


def test_everything_can_be_said_and_reaches_the_roles_in_the_frame(folder: Path) -> None:
    make(folder / "tls", "catalog", "localhost")
    authority = folder / "tls" / "ca.pem"
    said = (
        f"files: [catalog], backstage: [{{name: main, url: '{URL}/bs/', token_file: t, ca: {authority}, poll: 2s, "
        "full: 5m, definitions: 1h}], origins: {users: [main ldap://*], groups: [files]}"
    )
    settings = load(folder, text(said))
    main = Backstage("main", f"{URL}/bs", str(folder / "t"), str(authority), 2.0, 300.0, 3600.0)
    assert settings.catalog.backstage == (main,)
    assert settings.catalog.origins == Origins(("main ldap://*",), ("files",))
    assert config.decode(config.encode(settings)) == settings


def test_a_client_that_gets_its_tokens_reaches_the_roles_without_its_secret(folder: Path) -> None:
    said = CLIENT.replace("}", ", scopes: [a, b], audience: backstage}")
    settings = load(folder, text(f"backstage: [{{url: '{URL}', client: {said}}}]"))
    (main,) = settings.catalog.backstage
    url, secret = "https://idp.example.com/token", str(folder / "t")
    assert main.client == ClientCredentials(url, "stagedoor", secret, ("a", "b"), "backstage")
    assert main.token_file == ""
    assert config.decode(config.encode(settings)) == settings
    assert b"a-token" not in config.encode(settings)


@pytest.mark.parametrize(
    ("catalog", "said"),
    [
        ("prefix: a.example/", "`catalog` names no source"),
        ("backstage: [{url: 'https://b.example', token_file: absent}]", "absent`: no such file"),
        ("backstage: [{url: 'https://b.example'}]", "has neither `token_file` nor `client`"),
        (f"backstage: [{{url: '{URL}', token_file: t, client: {CLIENT}}}]", "leave one of them out"),
        (f"backstage: [{{url: '{URL}', client: {CLIENT.replace('https', 'http')}}}]", "is asked without TLS"),
        (f"backstage: [{{url: '{URL}', client: {CLIENT.replace('file: t', 'file: absent')}}}]", "no such file"),
        (f"backstage: [{{url: '{URL}', client: {{client_id: a, client_secret_file: t}}}}]", "client.url"),
        ("backstage: [{url: 'https://b.example', token_file: t, ca: t}]", "holds no certificates"),
        ("backstage: [{url: 'https://b.example', token_file: t, ca: absent}]", "cannot read"),
        ("backstage: [{url: 'http://b.example', token_file: t}]", "is reached without TLS"),
        ("backstage: [{url: 'https://b.example/api/catalog', token_file: t}]", "leave out `/api/catalog`"),
        ("backstage: [{url: 'https://b.example?x', token_file: t}]", "has a query"),
        ("backstage: [{url: 'https://u:p@b.example', token_file: t}]", "is no address"),
        ("backstage: [{url: 'ftp://b.example', token_file: t}]", "is no address"),
        ("backstage: [{url: 'https://b.example', token_file: t, poll: 100ms}]", "write 1s to 5m"),
        ("backstage: [{url: 'https://b.example', token_file: t, poll: 2m, full: 1m}]", "shorter than `poll`"),
        ("backstage: [{url: 'https://b.example', token_file: t, definitions: 1s}]", "shorter than `full`"),
        (
            "backstage: [{url: 'https://b.example', token_file: t, token: abc}]",
            "unknown key `catalog.backstage.0.token`",
        ),
        ("backstage: [{url: 'https://b.example', token_file: t, name: files}]", "give it another"),
        (f"{ONE[:-1]}, {{url: 'https://c.example', token_file: t}}]", "is used twice"),
        (f"files: [catalog], {ONE}", "nothing says which of them may define people and teams"),
        (f"{ONE}, origins: {{users: [backstge]}}", "did you mean `backstage`"),
        (f"{ONE}, origins: {{users: [files]}}", "known here: backstage"),
        (f"{ONE}, origins: {{groups: ['backstage url:*/x']}}", "has a `*` that is not its end"),
        (f"{ONE}, origins: {{people: []}}", "unknown key `catalog.origins.people`"),
    ],
)
def test_what_is_not_meant_is_a_fault_at_its_place(folder: Path, catalog: str, said: str) -> None:
    (fault,) = faults_of(folder, text(catalog))
    assert fault.startswith("stagedoor.yaml:7:")
    assert said in fault


def test_a_token_never_reaches_a_fault(folder: Path) -> None:
    (folder / "t").write_text("secret-words\nand more\n")
    (fault,) = faults_of(folder, text(ONE))
    assert "holds no secret" in fault
    assert "secret-words" not in fault


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "[::1]"])
def test_plain_http_reaches_a_catalog_on_this_machine_alone(folder: Path, host: str) -> None:
    assert load(folder, text(f"backstage: [{{url: 'http://{host}:7007', token_file: t}}]")).catalog.backstage


def test_a_secret_for_signed_calls_reaches_the_roles_as_a_path(folder: Path) -> None:
    secret = folder / "sync.secret"
    secret.touch(0o600)
    secret.write_text("s" * 40 + "\n")
    central = text("files: [catalog], sync_secret_file: sync.secret") + "central_host: door.example.com\n"
    settings = load(folder, central)
    assert settings.catalog.sync_secret_file == str(secret)
    assert b"ssss" not in config.encode(settings)
    secret.chmod(0o644)
    faults = "\n".join(faults_of(folder, central))
    assert "can be read by others than its owner" in faults
    assert f"chmod 600 {secret}" in faults
    secret.chmod(0o600)
    secret.write_text("shorter")
    faults = "\n".join(faults_of(folder, central))
    assert "fewer than 32" in faults
    assert "shorter" not in faults


def test_a_secret_for_signed_calls_is_of_no_use_where_none_arrive(folder: Path) -> None:
    faults = "\n".join(faults_of(folder, text("files: [catalog], sync_secret_file: t")))
    assert "is of no use without `central_host`" in faults
