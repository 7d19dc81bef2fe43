"""How long a firewall's tags take to be told, read and kept, against the lab's emulator.

    python -m bench.firewalls [ADDRESSES USERS]

From nothing to everything told and read back; one whole reading with its comparison; a steady cycle with its requests;
1,000 addresses that move to another service, and 1,000 users that join a team, told and read back; one person who is
gone, until the firewall has taken the tag away. Seconds are those of this process, emulator and TLS included, so that
other work on the machine does not count; a real firewall's answers take longer than the emulator's. Ends with 1 where a
promise for 50,000 addresses and 20,000 users is not kept: a whole reading in 10 s, a cycle in 1 s with fewer than 10
requests, 1,000 changes in 5 s, a person in 2 s.
"""

from __future__ import annotations

import asyncio
import resource
import sys
import tempfile
from dataclasses import replace
from ipaddress import IPv4Address
from pathlib import Path
from time import process_time
from typing import Final, NamedTuple

from gateway.engine.network.panos import names
from gateway.engine.network.panos.device.userid import What
from gateway.engine.network.panos.membership import Membership
from tests.support.panos import Clock, running_firewall
from tests.support.tag_worker import CALM, Worked, working

ADDRESSES: Final = 50_000
USERS: Final = 20_000
CHANGED: Final = 1_000
WHOLE_S, CYCLE_S, REQUESTS, CHANGED_S, PERSON_S = 10.0, 1.0, 10, 5.0, 2.0
_FIRST: Final = int(IPv4Address("10.0.0.0"))


class Figures(NamedTuple):
    first_s: float
    whole_s: float
    cycle_s: float
    requests: int
    moved_s: float
    joined_s: float
    person_s: float

    @property
    def are_kept(self) -> bool:
        cycle = self.cycle_s < CYCLE_S and self.requests < REQUESTS
        return (
            cycle and self.whole_s < WHOLE_S and max(self.moved_s, self.joined_s) < CHANGED_S
            and self.person_s < PERSON_S
        )  # fmt: skip


def main() -> int:
    addresses, users = map(int, sys.argv[1:3] or (ADDRESSES, USERS))
    found = asyncio.run(measured(addresses, users))
    print(f"{'addresses':>9} {'users':>6} " + " ".join(f"{name:>9}" for name in Figures._fields))
    print(f"{addresses:>9} {users:>6} " + " ".join(f"{value:>9.3g}" for value in found))
    print(f"peak of this process, emulator included: {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024} MB")
    return 0 if found.are_kept or (addresses, users) > (ADDRESSES, USERS) else 1


def company(addresses: int, users: int) -> Membership:
    """500 services and 400 teams, however many are in them."""
    services = [names.services_tag(f"system:default/s{number}", "prod") for number in range(500)]
    teams = [names.team_tag(f"group:default/t{number}") for number in range(400)]
    everywhere = names.environment_tag("prod")
    carried = [frozenset((service, everywhere)) for service in services]
    hosts = {str(IPv4Address(_FIRST + number)): carried[number % 500] for number in range(addresses)}
    people = {f"corp\\user{number}": frozenset((teams[number % 400],)) for number in range(users)}
    return Membership("v1", hosts, people)


async def measured(addresses: int, users: int) -> Figures:
    with tempfile.TemporaryDirectory() as name:
        clock, folder = Clock(), Path(name)
        async with (
            running_firewall(folder, clock=clock, model="PA-5220") as firewall,
            working(folder, firewall, clock=clock, rhythm=CALM, removed_share=1.0, removed_most=10**6) as worked,
        ):
            return await _figures(worked, company(addresses, users))


async def _figures(worked: Worked, wanted: Membership) -> Figures:
    first_s, _ = await _took(worked, wanted)
    worked.worker.reread()
    whole_s, _ = await _took(worked, wanted)
    worked.worker.recheck()
    cycle_s, requests = await _took(worked, wanted)
    hosts, people = dict(wanted.addresses), dict(wanted.users)
    changed = list(hosts)[:CHANGED], list(people)[:CHANGED]
    for here, there in zip(changed[0], [*changed[0][1:], changed[0][0]], strict=True):
        hosts[here] = wanted.addresses[there]
    moved_s, _ = await _took(worked, replace(wanted, addresses=hosts))
    for user in changed[1]:
        people[user] = people[user] | {names.team_tag("group:default/new")}
    joined_s, _ = await _took(worked, replace(wanted, addresses=hosts, users=people))
    person = changed[1].pop()
    del people[person]
    began = process_time()
    worked.worker.start()
    worked.worker.want(replace(wanted, addresses=hosts, users=dict(people)))
    await worked.until(lambda: not worked.tags(person, What.USER))
    return Figures(first_s, whole_s, cycle_s, requests, moved_s, joined_s, process_time() - began)


async def _took(worked: Worked, wanted: Membership) -> tuple[float, int]:
    """Seconds and requests until the firewall is as wanted."""
    calls, began = len(worked.firewall.front.calls), process_time()
    await worked.settled(wanted)
    assert worked.worker.standing()["state"] == "in-step", worked.worker.standing()
    return process_time() - began, len(worked.firewall.front.calls) - calls


if __name__ == "__main__":
    sys.exit(main())
