"""What is ours on a device: what was written is read back as the same value, and nothing of anybody else's is ours."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway.engine.network.panos.rules.block import Block, Sighted
from gateway.engine.network.panos.rules.content import content_of, empty
from tests.support.panos import RunningFirewall
from tests.support.panos_rules import (
    CLOSED,
    DESIRED,
    EDGE,
    ENVIRONMENT,
    SCOPES,
    Standing,
    serving_firewall,
    standing,
    with_scopes,
)

WANTED = content_of(DESIRED, EDGE, ENVIRONMENT, ())


@pytest.fixture(scope="module")
def serving(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningFirewall]:
    with serving_firewall(tmp_path_factory.mktemp("panos")) as firewall:
        yield firewall


@pytest.fixture
def at(serving: RunningFirewall, tmp_path: Path) -> Standing:
    return standing(serving, tmp_path)


def sighted(at: Standing) -> Sighted:
    block = Block(at.device, "prod")
    found: Sighted = at.asked(lambda client: block.sighted(client, "running"))
    return found


def test_a_device_without_anything_of_ours_has_nothing(at: Standing) -> None:
    assert (sighted(at).content, sighted(at).is_empty) == (empty(EDGE, "prod"), True)


def test_what_was_committed_is_read_back_as_what_was_wanted(at: Standing) -> None:
    at.commits(Block(at.device, "prod"), None, WANTED)
    found = sighted(at)
    assert found.content == WANTED
    assert at.names() == ["allow-dns", "sd-begin", *(each["name"] for each in WANTED["rules"]), "sd-end", "deny-rest"]
    assert (found.extra, found.astray, found.alike, found.faults) == ((), (), (), ())


def test_a_network_of_ours_that_was_left_behind_is_something(at: Standing) -> None:
    """Else nobody would ever take it away."""
    block, closing = Block(at.device, "prod"), content_of(DESIRED, EDGE, CLOSED, ())
    at.commits(block, None, closing)
    at.commits(block, closing, {**empty(EDGE, "prod"), "tags": closing["tags"], "addresses": closing["addresses"]})
    assert not sighted(at).is_empty
    at.commits(block, sighted(at).content, None)
    assert sighted(at).is_empty


def test_a_change_and_its_inverse_leave_the_device_as_it_was(at: Standing) -> None:
    block, other = Block(at.device, "prod"), content_of(with_scopes(SCOPES[0]), EDGE, ENVIRONMENT, ())
    at.commits(block, None, WANTED)
    uuids = sighted(at).uuids
    at.commits(block, WANTED, other)
    assert sighted(at).content == other
    at.commits(block, other, WANTED)
    found = sighted(at)
    assert found.content == WANTED
    kept = {each["name"] for each in other["rules"]}
    assert {name: uuids[name] for name in kept} == {name: found.uuids[name] for name in kept}
    at.commits(block, WANTED, None)
    assert sighted(at).content == empty(EDGE, "prod")
    assert at.names() == ["allow-dns", "sd-begin", "sd-end", "deny-rest"]
