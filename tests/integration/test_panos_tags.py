"""The tag worker at the size that is promised, and what the packet oracle says of what it told."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from bench import firewalls
from gateway.engine.network.panos import names
from gateway.engine.network.panos.membership import Membership
from gateway.lab.panos.oracle import Packet
from tests.support.panos import VSYS1, Api, Clock, rule, running_firewall
from tests.support.tag_worker import Worked, working

TEAM, GRANT = names.team_tag("group:default/pay"), names.grant_tag("system:default/pay", "prod")
HOSTS = names.services_tag("system:default/pay", "prod")


def guarded(api: Api) -> None:
    """One rule: the team, and whoever has a grant, may reach the service."""
    dag = f"<entry name='{HOSTS}'><dynamic><filter>'{HOSTS}'</filter></dynamic></entry>"
    dug = f"<entry name='people'><filter>'{TEAM}' or '{GRANT}'</filter></entry>"
    api.written(f"{VSYS1}/address-group", dag)
    api.written(f"{VSYS1}/dynamic-user-group", dug)
    api.written(f"{VSYS1}/rulebase/security/rules", rule("pay", source_user="people", destination=HOSTS))
    api.committed()


def may(worked: Worked, user: str, to: str = "192.0.2.1") -> bool:
    packet = Packet(source="203.0.113.9", destination=to, user=user)
    return worked.firewall.device.evaluate(packet, count=False).allowed


def test_access_follows_the_wish_and_temporary_access_ends_by_itself(tmp_path: Path) -> None:
    async def scene() -> None:
        clock = Clock()
        async with (
            running_firewall(tmp_path, clock=clock) as firewall,
            working(tmp_path, firewall, clock=clock, removed_share=1.0) as worked,
        ):
            await asyncio.to_thread(guarded, Api(firewall))
            end = int(clock()) + 600
            hosts, standing = {"192.0.2.1": frozenset({HOSTS})}, {"ann": frozenset({TEAM}), "bob": frozenset({TEAM})}
            await worked.settled(Membership("v1", hosts, standing, {("cy", GRANT): end}))
            assert [may(worked, user) for user in ("ann", "bob", "cy", "dan")] == [True, True, True, False]
            assert not may(worked, "ann", "192.0.2.2")
            await worked.settled(Membership("v2", hosts, standing, {("cy", GRANT): end}, frozenset({"ann"})))
            assert not may(worked, "ann")
            clock.passes(600)
            assert not may(worked, "cy"), "though nobody told the firewall"
            assert may(worked, "bob")
            await worked.settled(Membership("v3", {"192.0.2.2": frozenset({HOSTS})}, standing))
            assert not may(worked, "bob")
            assert may(worked, "bob", "192.0.2.2")

    asyncio.run(scene())


@pytest.mark.slow
def test_50_000_addresses_and_20_000_users_are_kept_as_fast_as_is_promised() -> None:
    found = asyncio.run(firewalls.measured(firewalls.ADDRESSES, firewalls.USERS))
    assert found.are_kept, found
