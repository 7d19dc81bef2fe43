"""`stagedoor cut` reaches firewalls: from a running node's control over its link to the wish, and to the device itself.

Where the wish is looked at, the engine's own code listens beside the node's engine. Times begin when the cut is asked
for.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from gateway.engine.catalogs import Reports
from gateway.engine.network.panos import names
from gateway.engine.network.panos.membership import Membership
from gateway.engine.network.panos.wishing import Facts, Wishing
from gateway.engine.overheard import Overheard, Overlay
from gateway.lab.panos.device import Device
from gateway.node.asking import CONTROL, ask
from tests.support.cutting import by_command
from tests.support.door import until
from tests.support.memberships import FIREWALL, catalog, facts, group, person, scope, team
from tests.support.panos import PASSWORD, USER, in_thread
from tests.support.whole_node import WholeNode, whole_node

pytestmark = pytest.mark.slow
HARNESS_S = 60.0
TOLD_S = 1.0
JANE, TAG = "corp\\jane", names.team_tag(group("team"))
WRITTEN_S = 2.0
DEVICES = """\
devices:
  panos:
    - name: edge
      units: ["{url}"]
      key_files: [edge.key]
      ca: {ca}
      tags: enforce
      user_name: 'corp\\{{metadata.name}}'
      removed_most: 1000
      environments:
        prod:
          front: {{}}
          back: {{}}
          virtual_addresses: [198.51.100.10]
          doors: [198.51.100.21]
          networks: [192.0.2.0/24]
"""
PEOPLE = catalog([person("jane", "team"), person("joe")], [team("team")])


class Engine:
    """What the engine makes of the overlay that it hears; ``when``: on the monotonic clock, with each wish."""

    def __init__(self, state: Path) -> None:
        self.told: list[tuple[float, Membership]] = []
        self._wishing = Wishing(FIREWALL)
        self._heard = asyncio.Event()
        overheard = Overheard(state, self._wish)
        self._wish(overheard.overlay)
        self._reports = Reports(state, list, list, overheard.take, overheard.linked)

    def _wish(self, overlay: Overlay | None) -> None:
        said: Facts = facts(PEOPLE, [scope("echo", "team")], overlay=overlay)
        wish = self._wishing.membership(said, int(time.time()))
        if wish is not None:
            self.told.append((time.monotonic(), wish))
            self._heard.set()

    async def until(self, holds: Callable[[Membership], bool]) -> float:
        """When it was so for the first time from now on."""
        async with asyncio.timeout(HARNESS_S):
            while not (self.told and holds(self.told[-1][1])):
                self._heard.clear()
                await self._heard.wait()
        return self.told[-1][0]

    async def __aenter__(self) -> Engine:
        self._reports.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        self._reports.close()


def played(node: WholeNode, act: Callable[[Engine], Awaitable[None]]) -> None:
    async def scene() -> None:
        async with Engine(node.folder / "state") as engine:
            await act(engine)

    asyncio.run(scene())


def test_a_person_who_is_cut_off_is_out_of_what_firewalls_are_told_within_a_second(tmp_path: Path) -> None:
    async def act(engine: Engine) -> None:
        await engine.until(lambda wish: wish.users == {JANE: {TAG}})
        began = time.monotonic()
        question = {"t": "cut", "kind": "person", "ref": "jane", "because": "left"}
        await asyncio.to_thread(ask, node.folder / "state", CONTROL, question, "cut_done", within_s=HARNESS_S)
        assert await engine.until(lambda wish: JANE in wish.cut and not wish.users) - began <= TOLD_S
        await by_command(node)("joe")  # the command itself, whatever the start of it takes
        await engine.until(lambda wish: wish.cut == {JANE, "corp\\joe"})

    with whole_node(tmp_path, workers=1) as node:
        played(node, act)


def test_who_was_cut_off_stays_so_while_control_is_away(tmp_path: Path) -> None:
    async def cut(engine: Engine) -> None:
        await by_command(node)("jane")
        await engine.until(lambda wish: JANE in wish.cut)

    with whole_node(tmp_path, workers=1) as node:
        played(node, cut)
    assert Overheard(tmp_path / "state", lambda _: None).overlay is not None

    async def alone() -> None:
        async with Engine(tmp_path / "state") as engine:
            assert engine.told[-1][1].cut == {JANE}

    asyncio.run(alone())


def test_a_cut_takes_the_tags_from_the_firewall_soon(tmp_path: Path) -> None:
    device = Device()
    key = tmp_path / "edge.key"
    key.write_text(device.admins.keygen(USER, PASSWORD))
    key.chmod(0o600)

    def tags(who: str) -> frozenset[str]:
        return frozenset(device.identities["vsys1"].users.of(f"corp\\{who}")) - {names.WATERMARK}

    def runs_there() -> frozenset[str]:
        return frozenset(device.identities["vsys1"].addresses.of("192.0.2.5")) - {names.WATERMARK}

    with in_thread(tmp_path, device) as (firewall,):
        devices = DEVICES.format(url=firewall.url, ca=firewall.ca)

        def configured(settings: str) -> str:
            return settings.replace("[127.0.0.0/8]", "[127.0.0.0/8, 192.0.2.0/24]") + devices

        with whole_node(tmp_path, workers=1, service="http://192.0.2.5:8080", configure=configured) as node:

            def cut(kind: str, ref: str, is_done: Callable[[], bool]) -> float:
                began = time.monotonic()
                question = {"t": "cut", "kind": kind, "ref": ref, "because": "left"}
                ask(node.folder / "state", CONTROL, question, "cut_done", within_s=HARNESS_S)
                until(is_done, HARNESS_S)
                return time.monotonic() - began

            closing, opening = names.environment_tag("prod"), names.services_tag("component:default/echo", "prod")
            until(lambda: tags("jane") == {names.everyone_tag(), TAG} and bool(tags("joe")), HARNESS_S)
            until(lambda: runs_there() == {closing, opening}, HARNESS_S)
            assert cut("person", "jane", lambda: not tags("jane")) <= WRITTEN_S
            assert cut("service", "echo", lambda: runs_there() == {closing}) <= WRITTEN_S
            assert tags("joe") == {names.everyone_tag()}
