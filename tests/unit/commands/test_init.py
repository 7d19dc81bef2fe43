"""`stagedoor init`: a first configuration that passes `check`, in a terminal and without anybody there."""

from __future__ import annotations

import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from gateway import config_load
from gateway.authoring.first_files import preset_of
from gateway.config import Settings
from tests.support.catalogs import people, service
from tests.support.certificates import make
from tests.support.commands import run, told
from tests.support.fake_catalog import FakeCatalog, fake_catalog
from tests.support.ports import free_port


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "catalog").mkdir()


@pytest.fixture
def issuer() -> str:
    """Nobody listens there."""
    return f"http://127.0.0.1:{free_port()}"


def init(issuer: str, *more: str | Path, code: int = 0) -> Any:
    return told("init", "--host", "apps.example.com", "--issuer", issuer, "--yes", *more, code=code)


def settings(file: str = "stagedoor.yaml") -> Settings:
    return config_load.load(file, {})


def test_unattended_it_writes_what_check_takes_and_says_what_comes_next(tmp_path: Path, issuer: str) -> None:
    report = init(issuer)
    assert report["written"] == [str(tmp_path / "stagedoor.yaml"), str(tmp_path / "access-policy.yaml")]
    assert report["next"] == ["stagedoor check", "stagedoor doctor", "stagedoor serve"]
    assert report["issuer"]["reached"] is False
    checked = told("check")
    assert checked["usable"] is True
    assert [part["verdict"] for part in checked["parts"][:3]] == ["ok", "ok", "ok"]


def test_the_file_is_short_commented_and_nobody_elses(tmp_path: Path, issuer: str) -> None:
    init(issuer)
    file = tmp_path / "stagedoor.yaml"
    lines = file.read_text().splitlines()
    assert len(lines) < 40
    assert sum(line.lstrip().startswith("#") for line in lines) >= 8
    assert max(map(len, lines)) <= 120
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []


def test_what_is_not_said_lets_nobody_in(issuer: str) -> None:
    init(issuer)
    made = settings()
    (listener,) = made.listeners
    assert listener.address == "127.0.0.1:8080"
    assert made.environments["prod"].hosts == (".apps.example.com",)
    assert made.environments["prod"].upstreams == (".internal",)
    (rule,) = made.issuers[0].match
    assert (rule.claim, rule.field) == ("sub", "annotations.stagedoor.dev/subject")


def test_every_question_is_a_flag(tmp_path: Path, issuer: str) -> None:
    certificate, key = make(tmp_path / "tls", "door", "localhost")
    init(
        issuer, "--catalog", "catalog", "--audience", "api://x y", "--upstream", "10.0.0.0/8", "--upstream", ".svc",
        "--preset", "okta", "--match", "uid=annotations.okta.com/id", "--listen", "[::1]:8443", "--certificate",
        certificate, "--key", key, "--state", "/var/lib/stagedoor",
    )  # fmt: skip
    made = settings()
    assert made.listeners[0].address == "[::1]:8443"
    assert made.listeners[0].tls is not None
    assert made.listeners[0].tls.certificate == str(certificate)
    assert made.issuers[0].audiences == ("api://x y",)
    assert (made.issuers[0].preset, made.issuers[0].match[0].claim) == ("okta", "uid")
    assert made.environments["prod"].upstreams == ("10.0.0.0/8", ".svc")
    assert made.state_folder == "/var/lib/stagedoor"
    assert "tls: {certificate: tls/door.pem" in Path("stagedoor.yaml").read_text()


@pytest.mark.parametrize(
    ("address", "preset"),
    [
        ("https://corp.okta.com/oauth2/default", "okta"),
        ("https://login.microsoftonline.com/5f1d9b1e/v2.0", "entra"),
        ("https://accounts.google.com", "google"),
        ("https://corp.eu.auth0.com/", "auth0"),
        ("https://sso.example.com/realms/corp", "keycloak"),
        ("https://evil.example/okta.com", "generic"),
        ("https://notokta.com.evil.example", "generic"),
    ],
)
def test_the_provider_is_known_by_the_issuers_address(address: str, preset: str) -> None:
    assert preset_of(address) == preset


@pytest.mark.parametrize("preset", ["generic", "okta", "entra", "keycloak", "auth0", "google"])
def test_every_provider_makes_a_configuration_that_is_taken(issuer: str, preset: str) -> None:
    init(issuer, "--preset", preset)
    assert settings().issuers[0].match


# === what is there already ===


def test_a_configuration_is_never_overwritten_unless_that_is_wished(issuer: str) -> None:
    Path("stagedoor.yaml").write_text("mine\n")
    result = run("init", "--host", "a.example.com", "--issuer", issuer, "--yes")
    assert result.exit_code == 2
    assert "--force" in result.stderr
    assert Path("stagedoor.yaml").read_text() == "mine\n"
    assert not Path("access-policy.yaml").exists()
    init(issuer, "--force")
    assert settings().central_host == "apps.example.com"


def test_an_access_policy_that_is_there_is_kept(tmp_path: Path, issuer: str) -> None:
    mine = "version: 1\nenvironments: {prod: {}}\n"
    Path("access-policy.yaml").write_text(mine)
    report = init(issuer)
    assert report["kept"] == [str(tmp_path / "access-policy.yaml")]
    assert Path("access-policy.yaml").read_text() == mine


def test_a_file_elsewhere_names_its_paths_from_where_it_lies(tmp_path: Path, issuer: str) -> None:
    Path("etc").mkdir()
    report = init(issuer, "--config", "etc/stagedoor.yaml", "--catalog", "catalog", "--state", "etc/state")
    made = settings("etc/stagedoor.yaml")
    assert made.catalog.files == (str(tmp_path / "catalog"),)
    assert made.state_folder == str(tmp_path / "etc" / "state")
    assert report["next"][0] == "stagedoor check --config etc/stagedoor.yaml"


# === answers ===


def test_in_a_terminal_it_asks_and_asks_again_until_an_answer_is_good(issuer: str) -> None:
    typed = f"not a host\napps.example.com\nftp://x\n{issuer}\n\napi\n10.0.0.1/8\n10.0.0.0/8 .internal\n"
    result = run("init", typed=typed)
    assert result.exit_code == 0, result.output
    assert "is no host name" in result.stderr
    assert "is no issuer" in result.stderr
    assert "host bits zero" in result.stderr
    made = settings()
    assert (made.central_host, made.issuers[0].issuer) == ("apps.example.com", issuer)
    assert made.issuers[0].audiences == ("api",)
    assert made.environments["prod"].upstreams == ("10.0.0.0/8", ".internal")
    assert result.stdout.splitlines()[0] == "wrote   stagedoor.yaml"
    assert result.stdout.splitlines()[-3:] == ["  stagedoor check", "  stagedoor doctor", "  stagedoor serve"]


@pytest.mark.parametrize(
    ("arguments", "typed", "said"),
    [
        (["--yes"], None, "--host is needed"),
        (["--yes", "--host", "a.example.com"], None, "--issuer is needed"),
        ([], "", "no answer: say --host"),
        (["--yes", "--host", "a b", "--issuer", "https://x"], None, "--host: `a b` is no host name"),
        (["--yes", "--host", "a.example.com", "--issuer", "x"], None, "--issuer: `x` is no issuer"),
        (["--yes", "--host", "a.example.com", "--issuer", "https://x", "--match", "sub"], None, "--match"),
        (["--yes", "--host", "a.example.com", "--issuer", "https://x", "--key", "a.key"], None, "belong together"),
        (["--yes", "--host", "a.example.com", "--issuer", "https://x", "--upstream", "?"], None, "--upstream"),
        (["--yes", "--host", "a.example.com", "--issuer", "https://x", "--audience", "\n"], None, "--audience"),
    ],
)
def test_what_cannot_be_meant_is_a_usage_error_and_writes_nothing(
    tmp_path: Path, arguments: list[str], typed: str | None, said: str
) -> None:
    result = run("init", *arguments, typed=typed)
    assert result.exit_code == 2
    assert said in result.stderr
    assert result.stdout == ""
    assert [path.name for path in tmp_path.iterdir()] == ["catalog"]


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (["--listen", "localhost:80"], "is no address"),
        (["--certificate", "absent.pem", "--key", "absent.key"], "cannot read"),
        (["--state", "a\tb"], "control characters"),
    ],
)
def test_answers_that_make_no_good_configuration_write_nothing(
    tmp_path: Path, issuer: str, more: list[str], said: str
) -> None:
    result = run("init", "--host", "a.example.com", "--issuer", issuer, "--yes", *more)
    assert result.exit_code == 3
    assert said in result.stderr
    assert "stagedoor.yaml:" in result.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["catalog"]


def test_plain_http_to_an_issuer_elsewhere_is_refused() -> None:
    result = run("init", "--host", "a.example.com", "--issuer", "http://idp.example.com", "--yes")
    assert (result.exit_code, "use https" in result.stderr) == (3, True)


def test_a_folder_that_is_not_there_is_said(issuer: str) -> None:
    result = run("init", "--host", "a.example.com", "--issuer", issuer, "--yes", "--config", "absent/stagedoor.yaml")
    assert (result.exit_code, "`absent` cannot be written" in result.stderr) == (3, True)


@pytest.mark.parametrize("name", ["true", "123", "a: b", "- x", "{a}", "*", "ünï cödé", "a #b", '"quoted"', "..", "é:"])
def test_a_path_is_read_back_as_it_was_said(tmp_path: Path, issuer: str, name: str) -> None:
    init(issuer, "--catalog", name)
    assert settings().catalog.files == (str((tmp_path / name).resolve()),)


# === a Backstage instead of a folder ===


@pytest.fixture
def backstage() -> Iterator[FakeCatalog]:
    with fake_catalog(*people("team"), service("a")) as made:
        yield made


def test_a_backstage_is_asked_for_with_its_token_and_what_it_says_is_told(issuer: str, backstage: FakeCatalog) -> None:
    Path("backstage.token").write_text(f"{backstage.token}\n")
    report = init(issuer, "--catalog", f"{backstage.url}/api/catalog")
    assert report["catalog"]["reached"] is True
    assert report["catalog"]["found"].startswith("3 entities")
    (said,) = settings().catalog.backstage
    assert (said.url, Path(said.token_file).name) == (backstage.url, "backstage.token")
    assert settings().catalog.files == ()
    lines = Path("stagedoor.yaml").read_text().splitlines()
    assert len(lines) < 40
    assert max(map(len, lines)) <= 120
    assert backstage.token not in "".join(lines)
    assert told("check")["usable"] is True


def test_a_blind_token_keeps_no_file_from_being_written_and_is_told(issuer: str, backstage: FakeCatalog) -> None:
    backstage.blind = True
    Path("t").write_text(backstage.token)
    result = run(
        "init", "--host", "apps.example.com", "--issuer", issuer, "--catalog", backstage.url, "--token-file", "t",
        "--yes",
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    assert "cannot be read" in result.stdout
    assert "200 and shows no entity" in result.stdout
    assert "catalog.entity.read" in result.stdout


def test_a_folder_has_no_word_about_a_backstage(issuer: str) -> None:
    assert init(issuer)["catalog"] is None


def test_a_token_file_is_asked_for_until_there_is_a_token_in_it(issuer: str, backstage: FakeCatalog) -> None:
    Path("good").write_text(backstage.token)
    Path("empty").touch()
    typed = f"apps.example.com\n{issuer}\nhttps://\n{backstage.url}\nabsent\nempty\ngood\n\n\n"
    result = run("init", typed=typed)
    assert result.exit_code == 0, result.output
    assert "is no address of a Backstage" in result.stderr
    assert "`absent`: no such file" in result.stderr
    assert "`empty` holds no secret" in result.stderr
    assert Path(settings().catalog.backstage[0].token_file).name == "good"


def test_without_a_token_nothing_is_written(tmp_path: Path, issuer: str) -> None:
    result = run("init", "--host", "a.example.com", "--issuer", issuer, "--catalog", "https://b.example", "--yes")
    assert result.exit_code == 2
    assert "--token-file: cannot read `backstage.token`" in result.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["catalog"]
