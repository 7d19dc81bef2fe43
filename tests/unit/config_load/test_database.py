"""`state.database`: an address that has one reading, no password, and nothing unverified beyond this machine."""

from __future__ import annotations

from base64 import b64encode
from pathlib import Path

import jsonschema_rs
import pytest

from gateway import config, config_load
from gateway.config_load.database import database_url
from gateway.config_load.schema import configuration_schema
from gateway.supervisor.loading import fixed_changes

FILE = """\
listeners: [{{name: main, address: "127.0.0.1:8443"}}]
environments: {{prod: {{hosts: [.example.com], upstreams: [10.0.0.0/8]}}}}
catalog: {{files: [catalog]}}
access_policy: access.yaml
state: {{folder: state{more}}}
sessions: {{keys_file: session.keys}}
"""
TLS = "sslmode=verify-full&sslrootcert=/etc/ca.pem"
GOOD = (
    "postgresql://stagedoor@localhost/stagedoor",
    "postgresql://stagedoor@127.0.0.1:5433/stagedoor?sslmode=disable",
    "postgresql://stagedoor@[::1]:5433/stagedoor",
    f"postgresql://stagedoor@db.example.com/stagedoor?{TLS}",
    f"postgresql://stagedoor@db1.example.com,db2.example.com:5433/stagedoor?{TLS}&target_session_attrs=read-write",
    "postgresql://stagedoor@10.0.0.1/stagedoor?sslmode=verify-ca",
    "postgresql://stagedoor@/stagedoor?host=/run/postgresql",
)
BAD = {
    "mysql://stagedoor@localhost/x": "no address of a PostgreSQL",
    "postgres://stagedoor@localhost/x": "no address of a PostgreSQL",
    "postgresql+asyncpg://stagedoor@localhost/x": "no address of a PostgreSQL",
    "postgresql://localhost/x": "user or database is missing",
    "postgresql://@localhost/x": "user or database is missing",
    "postgresql://stagedoor@localhost": "user or database is missing",
    "postgresql://stagedoor@localhost/": "user or database is missing",
    "postgresql://stagedoor@localhost/a/b": "user or database is missing",
    "postgresql://a@b@localhost/x": "user or database is missing",
    "postgresql://stagedoor@/x": "host is said twice, or not at all",
    "postgresql://stagedoor@localhost/x?host=/run": "host is said twice, or not at all",
    "postgresql://stagedoor@/x?host=db.example.com": "for the folder of a socket",
    "postgresql://stagedoor@db.example.com/x": "without a verified certificate",
    "postgresql://stagedoor@db.example.com/x?sslmode=require": "without a verified certificate",
    "postgresql://stagedoor@db.example.com/x?sslmode=prefer": "without a verified certificate",
    "postgresql://stagedoor@localhost,db.example.com/x": "`db.example.com` is reached without a verified",
    "postgresql://stagedoor@%2Frun%2Fpostgresql/x": "is no host",
    "postgresql://stagedoor@localhost:0/x": "is no host",
    "postgresql://stagedoor@localhost:x/x": "is no host",
    "postgresql://stagedoor@localhost,/x": "is no host",
    "postgresql://stagedoor@localhost/x?sslmod=x": "`sslmod` is unknown there",
    "postgresql://stagedoor@localhost/x?options=-c%20fsync=off": "`options` is unknown there",
    "postgresql://stagedoor@localhost/x?sslmode=a&sslmode=b": "said twice",
    "postgresql://stagedoor@localhost/x?sslmode=": "said twice, or is empty",
    "postgresql://stagedoor@localhost/x?sslmode": "cannot be read",
    "postgresql://stagedoor@localhost/x?passfile=secret": "`passfile` is no whole path",
    "postgresql://stagedoor@localhost/x#y": "what no such address may hold",
    "postgresql://stagedoor@localhost/x y": "what no such address may hold",
    "postgresql://stagedoor@lücalhost/x": "what no such address may hold",
}
PASSWORDS = (
    "postgresql://stagedoor:geheim@localhost/x",
    "postgresql://stagedoor:ge@heim@localhost/x",
    "postgresql://:geheim@localhost/x",
    "postgresql://stagedoor@localhost/x?password=geheim",
    "postgresql://stagedoor@localhost/x?sslmode=disable&password=geheim",
    "postgresql://stagedoor@localhost/x?sslpassword=geheim",
)


def load(folder: Path, more: str = "", **environ: str) -> config.Settings:
    (folder / "access.yaml").write_text("version: 1\n")
    (folder / "stagedoor.yaml").write_text(FILE.format(more=more))
    (folder / "session.keys").touch(0o600)
    (folder / "session.keys").write_text(f"k1 {b64encode(bytes(32)).decode()}\n")
    return config_load.load(folder / "stagedoor.yaml", environ)


@pytest.mark.parametrize("url", GOOD)
def test_an_address_is_kept_as_it_is(tmp_path: Path, url: str) -> None:
    assert database_url(url) == url
    said = url.replace("&sslrootcert=/etc/ca.pem", "")  # the file itself is looked for
    settings = load(tmp_path, f', database: "{said}"')
    assert settings.database == said
    assert config.decode(config.encode(settings)).database == said
    assert load(tmp_path, STAGEDOOR_STATE__DATABASE=said).database == said


def test_without_one_it_is_the_file_of_one_node(tmp_path: Path) -> None:
    assert load(tmp_path).database == ""


@pytest.mark.parametrize("url", BAD)
def test_what_could_be_read_in_two_ways_or_in_none_is_refused(tmp_path: Path, url: str) -> None:
    with pytest.raises(config_load.ConfigFaults, match=BAD[url]) as refused:
        load(tmp_path, f', database: "{url}"')
    assert "state.database" in str(refused.value)
    assert "stagedoor.yaml:5" in str(refused.value)


@pytest.mark.parametrize("url", PASSWORDS)
def test_a_password_is_refused_and_never_repeated(tmp_path: Path, url: str) -> None:
    for attempt in ({"more": f', database: "{url}"'}, {"STAGEDOOR_STATE__DATABASE": url}):
        with pytest.raises(config_load.ConfigFaults, match="it holds a password") as refused:
            load(tmp_path, **attempt)
        assert "heim" not in str(refused.value)


@pytest.mark.parametrize("url", GOOD)
def test_the_schema_takes_what_is_an_address(url: str) -> None:
    schema = configuration_schema()
    validator = jsonschema_rs.Draft202012Validator(schema["$defs"]["StateModel"] | {"$defs": schema["$defs"]})
    assert validator.is_valid({"folder": "state", "database": url})
    assert not validator.is_valid({"folder": "state", "database": PASSWORDS[0]})


def passfile(folder: Path, text: str = "*:*:*:stagedoor:geheim\n", mode: int = 0o600) -> str:
    file = folder / "passfile"
    file.write_text(text)
    file.chmod(mode)
    return f', database: "postgresql://stagedoor@localhost/x?passfile={file}"'


def test_a_password_file_of_the_owners_alone_is_well(tmp_path: Path) -> None:
    load(tmp_path, passfile(tmp_path, "# ours\n\nlocalhost:5432:x:stagedoor:geheim\n"))


@pytest.mark.parametrize(
    ("text", "mode", "said"),
    [
        ("*:*:*:stagedoor:geheim\n", 0o640, "can be read by others"),
        ("geheim\n", 0o600, "holds no password in PostgreSQL's form"),
        ("", 0o600, "holds no password in PostgreSQL's form"),
        ("#*:*:*:stagedoor:geheim\n", 0o600, "holds no password in PostgreSQL's form"),
        ("*:*:*:stagedoor:ge\\:heim\n", 0o600, "holds a backslash"),
    ],
)
def test_a_password_file_that_the_driver_would_pass_over_is_a_fault(
    tmp_path: Path, text: str, mode: int, said: str
) -> None:
    """The driver ignores it without a word, and the database then speaks of a wrong password."""
    with pytest.raises(config_load.ConfigFaults, match=said) as refused:
        load(tmp_path, passfile(tmp_path, text, mode))
    assert "heim" not in str(refused.value)


def test_a_file_that_is_not_there_is_a_fault(tmp_path: Path) -> None:
    more = f', database: "postgresql://stagedoor@localhost/x?sslrootcert={tmp_path}/ca.pem"'
    with pytest.raises(config_load.ConfigFaults, match=r"`sslrootcert`: cannot read `.*/ca.pem`"):
        load(tmp_path, more)


def test_another_database_needs_a_restart(tmp_path: Path) -> None:
    old, new = load(tmp_path), load(tmp_path, f', database: "{GOOD[0]}"')
    assert fixed_changes(old, new) == ["`state.database`"]


def test_nodes_that_share_a_database_share_the_keys_of_sessions(tmp_path: Path) -> None:
    """Each with keys of its own, they would send people from sign-in to sign-in."""
    (tmp_path / "access.yaml").write_text("version: 1\n")
    alone = FILE.format(more=f', database: "{GOOD[0]}"').replace("keys_file: session.keys", "idle: 1h")
    (tmp_path / "stagedoor.yaml").write_text(alone)
    with pytest.raises(config_load.ConfigFaults, match=r"need the same `sessions\.keys_file`") as refused:
        config_load.load(tmp_path / "stagedoor.yaml", {})
    assert "openssl rand" in str(refused.value)
