"""Promises to whoever installs a node by docs/installing.md: what is pasted is taken as it stands. Nothing is
asked over the network here: `init` tells whether provider and portal answer, and writes its files all the same."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import Any

import pytest
import yaml

from gateway import config_load
from gateway.commands import init
from gateway.config import Settings
from gateway.doctor.lines import Line
from tests.support.certificates import make
from tests.support.commands import run
from tests.support.doc_code import code_in
from tests.support.node import ROOT

PAGE = ROOT / "docs" / "installing.md"
COMMANDS = "\n".join(code_in(PAGE, "sh")).replace("\\\n", " ")
SETTINGS = [block for block in code_in(PAGE, "yaml") if not block.startswith("# catalog-info.yaml")]


@pytest.fixture
def written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """The configuration that the command on the page writes."""

    async def nobody_is_asked(_settings: Settings) -> tuple[Line, None]:
        return Line("issuer", "login", "FAIL", "not asked", "nothing"), None

    monkeypatch.setattr(init, "_asked", nobody_is_asked)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "tls").mkdir()
    make(tmp_path / "tls", "door", "localhost")
    (tmp_path / "backstage.token").write_text("a token\n")
    (line,) = re.findall(r"^sudo -u stagedoor stagedoor (init .*)$", COMMANDS, re.MULTILINE)
    result = run(*shlex.split(line))
    assert result.exit_code == 0, result.output
    read: dict[str, Any] = yaml.safe_load((tmp_path / "stagedoor.yaml").read_text())
    return read


def loaded(tree: dict[str, Any]) -> Settings:
    Path("stagedoor.yaml").write_text(yaml.safe_dump(tree))
    return config_load.load("stagedoor.yaml", {}, with_named_files=False)


def test_init_writes_what_the_later_steps_stand_on(written: dict[str, Any]) -> None:
    settings = loaded(written)
    (issuer,) = settings.issuers
    assert (issuer.name, issuer.preset, issuer.audiences) == ("login", "okta", ("api://default",))
    assert settings.state_folder == "/var/lib/stagedoor"


def test_the_socket_unit_gets_the_listener_that_init_wrote(written: dict[str, Any]) -> None:
    (listener,) = loaded(written).listeners
    (edit,) = re.findall(r"^sed -i '(.*)' /etc/systemd/system/stagedoor\.socket$", COMMANDS, re.MULTILINE)
    unit = (ROOT / "examples" / "systemd" / "stagedoor.socket").read_text()
    for pattern, value in re.findall(r"s/(.+?)/(.+?)/", edit):
        unit, count = re.subn(pattern, value, unit, flags=re.MULTILINE)
        assert count == 1, pattern
    assert f"\nListenStream={listener.address}\n" in unit
    assert f"\nFileDescriptorName={listener.name}\n" in unit


def test_each_step_fits_what_the_steps_before_it_left(written: dict[str, Any]) -> None:
    for block in SETTINGS:
        written |= yaml.safe_load(block)
        settings = loaded(written)
    assert settings.issuers[0].client is not None
    assert settings.administrators == ("group:default/platform",)
    assert settings.database.startswith("postgresql://")
    assert [(each.name, each.bigip, each.health_only) for each in settings.listeners] == [
        ("main", True, False), ("health", False, True),
    ]  # fmt: skip
