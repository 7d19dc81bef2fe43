"""`stagedoor doctor` on the rules of firewalls: what would stand against a change is told before there is one."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest

from gateway.config.devices import Leg, Panos
from gateway.doctor import firewall_rules
from gateway.doctor.firewall_rules import rules, with_rules
from gateway.doctor.lines import Line
from gateway.engine.network.transport.patience import Limits
from tests.support.panos import RULES, RunningFirewall, rule
from tests.support.panos_rules import EDGE, ENVIRONMENT, Standing, serving_firewall, standing


@pytest.fixture(scope="module")
def serving(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningFirewall]:
    with serving_firewall(tmp_path_factory.mktemp("firewall")) as firewall:
        yield firewall


def line(device: Panos) -> Line:
    (found,) = asyncio.run(rules(device))
    return found


def test_all_that_is_needed_takes_one_line(serving: RunningFirewall, tmp_path: Path) -> None:
    """And nothing is changed by asking."""
    there = standing(serving, tmp_path)
    found = line(there.device)
    assert (found.check, found.subject, found.verdict) == ("firewall", "edge rules of prod", "OK")
    assert found.found == "`stagedoor` reads 0 rules; their place and what they refer to are there"
    assert there.firewall.device.configuration.journal == []


def key_of(there: Standing, admin: str, folder: Path) -> str:
    file = folder / "other.key"
    file.write_text(there.firewall.device.admins.keygen(admin, "lab"))
    file.chmod(0o600)
    return str(file)


def locked(there: Standing, folder: Path) -> Panos:
    there.api.op("<request><config-lock><add><comment>mine</comment></add></config-lock></request>")
    return there.device


def edited(there: Standing, folder: Path) -> Panos:
    there.api.written(RULES, rule("sd-begin", disabled="no"))
    return there.device


def of_the_tags(there: Standing, folder: Path) -> Panos:
    return replace(there.device, rules_key_files=(key_of(there, "stagedoor-tags", folder),))


def elsewhere(there: Standing, folder: Path) -> Panos:
    away = replace(ENVIRONMENT, front=Leg(("trust",), ("away",)), log_setting="to-siem")
    return replace(there.device, environments=(away,))


@pytest.mark.parametrize(
    ("broken", "verdict", "found"),
    [
        (locked, "WARN", "is being worked on: config lock of `operator`"),
        (edited, "WARN", "holds edits of others on what is ours"),
        (of_the_tags, "FAIL", "may not do this"),
        (elsewhere, "FAIL", "has no zone `away`, log forwarding profile `to-siem`"),
        (lambda there, folder: replace(there.device, anchor="nobody"), "FAIL", "`nobody`"),
    ],
    ids=["lock", "edit", "rights", "zone", "anchor"],
)
def test_what_stands_against_a_change_is_told_with_its_fix(
    serving: RunningFirewall,
    tmp_path: Path,
    broken: Callable[[Standing, Path], Panos],
    verdict: str,
    found: str,
) -> None:
    told = line(broken(standing(serving, tmp_path), tmp_path))
    assert told.verdict == verdict
    assert found in told.found
    assert told.fix


def test_an_environment_without_a_leg_has_no_rules() -> None:
    assert with_rules(replace(EDGE, environments=(replace(ENVIRONMENT, front=None, back=None, direct=None),))) == ()


def test_a_firewall_that_hangs_is_asked_once_for_all_its_environments(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(firewall_rules, "LIMITS", Limits(call=0.3, connect=5.0, read=0.0))
    key = tmp_path / "key"
    key.write_text("secret")
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen(8)
        both = (ENVIRONMENT, replace(ENVIRONMENT, environment="test"))
        unit = f"https://127.0.0.1:{listening.getsockname()[1]}"
        found = asyncio.run(rules(replace(EDGE, units=(unit,), key_files=(str(key),), environments=both)))
        listening.setblocking(False)
        connections = 0
        with suppress(BlockingIOError):
            while True:
                listening.accept()[0].close()
                connections += 1
    assert [(each.subject, each.verdict) for each in found] == [
        ("edge rules of prod", "FAIL"), ("edge rules of test", "FAIL")
    ]  # fmt: skip
    assert {each.found for each in found} == {f"`edge` ({unit[8:]}) cannot be reached: no whole answer within 0.3 s"}
    assert connections == 1
