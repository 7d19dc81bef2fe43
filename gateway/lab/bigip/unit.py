"""One device: its objects, its users, its clock, its knobs, and the group it stands in."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any, Final

from gateway.lab.bigip import objects, scripts
from gateway.lab.bigip.availability import DeviceGroup
from gateway.lab.bigip.collections import FOLDER, PARTITION, stock
from gateway.lab.bigip.engine import Conditions, Engine
from gateway.lab.bigip.faults import Knobs
from gateway.lab.bigip.presenting import Presenter
from gateway.lab.bigip.refusals import Json, refused
from gateway.lab.bigip.schema import Schema
from gateway.lab.bigip.tasks import Records, Tasks
from gateway.lab.bigip.tokens import Tokens
from gateway.lab.bigip.transactions import Transactions
from gateway.lab.bigip.tree import Held, Tree

VERSION: Final = "17.1.1"
SETTINGS: Final = {  # as devices come; scripts of AS3 name the files that they need
    "fileBlacklistPathPrefix": "{/shared/3dns/} {/shared/bin/} {/shared/core/} {/shared/datasync/}",
    "fileWhitelistPathPrefix": "{/var/local/scf} {/tmp/} {/shared/} {/config/} {/usr/share/aws/} "
    "{/var/config/rest/downloads/}",
    "guiSetup": "disabled",
}
USERS: Final = {"admin": "admin", "stagedoor": "lab"}


class Unit:
    """``clock``: epoch seconds. Closed by whoever made it: `await unit.records.close()`."""

    def __init__(
        self,
        hostname: str = "bigip-a.lab.test",
        address: str = "127.0.0.1",
        *,
        group: DeviceGroup | None = None,
        users: Mapping[str, str] = USERS,
        schema: Schema | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.hostname = hostname
        self.address = address
        self.group = group or DeviceGroup()
        self.group.members.append(self)
        self._clock = clock
        self._absent_until = 0.0
        self.knobs = Knobs()
        self.tree = Tree()
        self.on_saved: Callable[[Held], None] = lambda held: None
        self.settings: Json = dict(SETTINGS)
        self.uploads: dict[str, bytes] = {}
        self.found: dict[str, str] = {}  # "192.0.2.1:80" → up, down, checking: what monitors found; a knob wins
        self.scripts: dict[str, scripts.Script] = {}
        self.calls: list[str] = []  # "METHOD path", the newest last
        self._furnish()
        self._saved = self.tree.snapshot()
        self.tokens = Tokens(users, self.now)
        self.presenter = Presenter(VERSION, self._health)
        self.transactions = Transactions(self.tree, self.now)
        kinds = {"sys/config": self._save, "cm/config-sync": self._synchronise, "cli/script": self._run_script}
        self.tasks = Tasks(kinds)
        self.records = Records()
        conditions = Conditions(self.knobs.work, self._is_locked, self._refusal_of, self._saves, self._written)
        self.engine = Engine(self.tree, self.now, schema, conditions)

    @property
    def units(self) -> list[Unit]:
        """All of its group."""
        return [one for one in self.group.members if isinstance(one, Unit)]

    @property
    def active(self) -> Unit:
        """The one of its group that passes traffic."""
        return next(one for one in self.units if self.group.is_active(one))

    def now(self) -> float:
        return self._clock() + self.knobs.clock_skew_s

    def has_as3(self) -> bool:
        """Not while it starts."""
        return not self.knobs.as3_missing and self._clock() >= self._absent_until

    def reboot(self, absent_s: float) -> None:
        """The saved configuration comes up; tokens and what was under way are gone; AS3 is missing for so long."""
        self._absent_until = self._clock() + absent_s
        self.tokens.revoke()
        self.records.cancel()
        self.tree.restore(self._saved)

    def changed(self) -> None:
        """An object was written through iControl REST."""
        self.group.written(self, dry_run=False)

    def empty(self) -> None:
        """As it came out of its box, knobs aside."""
        self.records.cancel()
        self.tree.restore({})
        self._furnish()
        self._saved = self.tree.snapshot()
        self.group.pending = False

    def _furnish(self) -> None:
        self.tree.put(PARTITION, "Common", {"defaultRouteDomain": 0})
        self.tree.put(FOLDER, "/Common", {})
        self.tree.put(FOLDER, "/Common/appsvcs", {})
        for collection, values in stock(self.hostname):
            objects.create(self.tree, collection, values)

    def _health(self, member: str) -> str:
        name = member.rpartition("/")[2]
        return self.knobs.members.get(name) or self.found.get(name, "up")

    def _is_locked(self) -> bool:
        return self.knobs.as3_locked

    def _refusal_of(self, tenant: str) -> str:
        return self.knobs.refused_tenants.get(tenant, "")

    def _saves(self) -> bool:
        if not self.knobs.save_fails:
            self._keep()
        return not self.knobs.save_fails

    def _written(self, dry_run: bool, changed: bool) -> None:
        if dry_run or changed:
            self.group.written(self, dry_run=dry_run)

    def _save(self, body: Json) -> None:
        if body.get("command") != "save":
            raise refused(400, "command must be save", 1)
        if self.knobs.save_fails:
            raise refused(500, "01070734:3: Configuration error: could not save", 3)
        self._keep()

    def load_script(self, file: str) -> None:
        """Merge an uploaded file into the configuration. Raises `Refusal` for one that is no script of AS3's."""
        name = file.rpartition("/")[2]
        if name not in self.uploads:
            raise refused(400, f"01070734:3: Configuration error: file {file} was not uploaded", 3)
        script, commands = scripts.script_of(self.uploads[name].decode(errors="replace"))
        self.scripts[script] = commands

    def _run_script(self, body: Json) -> None:
        name = str(body.get("name", "")).rpartition("/")[2]
        if body.get("command") != "run" or name not in self.scripts:
            raise refused(404, f"01020036:3: The requested script ({name}) was not found.", 3)
        scripts.run(self.tree, self.scripts[name])
        self.changed()

    def _keep(self) -> None:
        self._saved = self.tree.snapshot()
        self.on_saved(self._saved)

    def load(self, held: Held) -> None:
        """Come up with a configuration that was saved earlier."""
        self.tree.restore(held)
        self._saved = self.tree.snapshot()

    def _synchronise(self, body: Json) -> None:
        options: list[Any] = body.get("options", [])
        group = next((one["to-group"] for one in options if isinstance(one, dict) and "to-group" in one), "")
        self.group.synchronise_to(self, group if group.startswith("/") else f"/Common/{group}")
