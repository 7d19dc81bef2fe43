"""`stagedoor doctor` on firewalls: what is well, and each thing that is not, with its fix."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from gateway.doctor.firewalls import firewall
from gateway.doctor.lines import Line
from tests.support.scripted_firewall import (
    Said,
    firewall_settings,
    paired,
    scripted_firewall,
    well,
)

DENIED = '<response status="unauth" code="16"><msg><line>Unauthorized request</line></msg></response>'


def lines(folder: Path, *scripts: Callable[[str], Said], **changes: Any) -> Sequence[Line]:
    async def scene() -> Sequence[Line]:
        async with scripted_firewall(folder, scripts[0]) as first:
            if len(scripts) == 1:
                return await firewall(firewall_settings(folder, first, **changes))
            async with scripted_firewall(folder, scripts[1]) as second:
                return await firewall(firewall_settings(folder, first, second, **changes))

    return asyncio.run(scene())


def test_a_firewall_that_is_well_takes_one_line(tmp_path: Path) -> None:
    (line,) = lines(tmp_path, well)
    assert (line.check, line.verdict) == ("firewall", "OK")
    assert line.found == "PA-VM 11.1.6, serial 0123, alone, tags are readable"


def test_a_pair_says_which_is_active(tmp_path: Path) -> None:
    first, second, pair = lines(tmp_path, paired("passive"), paired("active"))
    assert [each.verdict for each in (first, second, pair)] == ["OK"] * 3
    assert pair.found == f"a pair; {second.subject.partition(' ')[2]} is active"


@pytest.mark.parametrize(
    ("scripts", "verdict", "found", "fix"),
    [
        ((paired("active"),), "WARN", "the other is not known", "list both"),
        ((well, well), "FAIL", "no pair", "an entry of its own"),
        ((paired("active"), paired("active")), "FAIL", "active and active", "high availability"),
        ((paired("passive"), paired("passive")), "FAIL", "passive and passive", "high availability"),
        ((paired("active", "synchronization in progress"), paired("passive")), "WARN", "not in step", "synchronize"),
    ],
    ids=["half", "two", "both", "none", "sync"],
)
def test_a_pair_that_is_none_is_told(
    tmp_path: Path, scripts: tuple[Callable[[str], Said], ...], verdict: str, found: str, fix: str
) -> None:
    line = lines(tmp_path, *scripts)[-1]
    assert line.verdict == verdict
    assert found in line.found
    assert fix in line.fix


@pytest.mark.parametrize(
    ("broken", "verdict", "found", "fix"),
    [
        (("<info", well("<info").body.replace("11.1.6", "9.1.0")), "WARN", "PA-VM 9.1.0", "upgrade"),
        (("registered-user", DENIED), "FAIL", "may not do this", "User-ID agent"),
        (("<info", '<response status="success"><result/></response>'), "FAIL", "does not say which PAN-OS", ""),
        (("<info", well("<info").body.replace("11.1.6", "²².1")), "WARN", "PA-VM ²².1", "upgrade"),
        (("<info", '<response status="error"><msg>no; run this</msg></response>'), "FAIL", "`no, run this`", "look at"),
    ],
    ids=["old", "denied", "stranger", "digits", "advice"],
)
def test_what_is_wrong_with_a_unit_is_told_with_its_fix(
    tmp_path: Path, broken: tuple[str, str], verdict: str, found: str, fix: str
) -> None:
    words, body = broken
    (line,) = lines(tmp_path, lambda command: Said(200, body) if words in command else well(command))
    assert line.verdict == verdict
    assert found in line.found
    assert fix in line.fix
    assert line.fix


def test_a_unit_that_is_away_is_told_and_the_other_is_asked(tmp_path: Path) -> None:
    async def scene() -> Sequence[Line]:
        async with scripted_firewall(tmp_path, paired("active")) as first:
            settings = firewall_settings(tmp_path, first)
            return await firewall(firewall_settings(tmp_path, units=(*settings.units, "https://127.0.0.1:1")))

    first, second = asyncio.run(scene())
    assert first.verdict == "OK"
    assert second.verdict == "FAIL"
    assert "cannot be reached" in second.found
    assert "correct `units`" in second.fix


def test_a_virtual_system_that_is_not_there_is_told(tmp_path: Path) -> None:
    (line,) = lines(tmp_path, well, vsys="vsys2")
    assert (line.verdict, line.fix) == ("FAIL", "leave `vsys` out")
