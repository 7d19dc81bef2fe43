"""The control role: issuers' keys, the control socket, the admin listener, sign-in, the API, the pages people see.

It holds the parts together and decides nothing itself. It is never in the way of a request that needs no news:
when it is gone, doors go on with the keys they have. ``pages`` lets another program (the lab) put its own pages
beside control's.
"""

from __future__ import annotations

import asyncio
import os
import socket
import time
from collections.abc import Callable, Sequence
from importlib.metadata import PackageNotFoundError, version
from typing import Any, Final

import aiohttp
import uvloop
from aiohttp import web

from gateway import telemetry
from gateway.config import Issuer, Settings
from gateway.control import admin
from gateway.control.acts import Acts
from gateway.control.api.assembly import Central
from gateway.control.cuts import Cuts
from gateway.control.doors import Doors
from gateway.control.feeds.gauges import feed_gauges
from gateway.control.fetch import Fetched, Jwk, client_session, fetch_keys
from gateway.control.introspection import NONE, Answer, Introspector
from gateway.control.keys import IssuerKeys
from gateway.control.lead import Lead
from gateway.control.sessions.messages import SessionMessages
from gateway.control.signin.assembly import SignIn
from gateway.control.signin.people import Keys
from gateway.control.status import catalog_states, follower_status, issuer_status
from gateway.control.store import Store, open_store
from gateway.control.web import WebServer, make_app
from gateway.counters import Merged
from gateway.link import UP, Message, RoleContext

Pages = Callable[[web.Application], None]
NO_BASE: Final = "no door serves one yet: every request is `policy_unavailable`"
ADMIN: Final = "admin"  # name of the admin listener among the sockets the supervisor passes


def run(ctx: RoleContext, pages: Pages | None = None) -> None:
    """Serve until the supervisor says `stop`."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_serve(ctx, pages))


async def _serve(ctx: RoleContext, pages: Pages | None) -> None:
    stopped = asyncio.Event()
    async with client_session() as session:
        store = await open_store(ctx.settings.database, ctx.state_folder)
        control = Control(ctx, session, store)
        ctx.parent.on_line = lambda word, rest: _obey(control, stopped, word, rest)
        ctx.parent.start()
        await control.start(pages)
        ctx.parent.ready()
        await stopped.wait()
        await control.close()
        await store.close()


def _obey(control: Control, stopped: asyncio.Event, word: str, rest: list[str]) -> None:
    if word in ("stop", "drain"):
        stopped.set()
    elif word == "settings" and rest:
        try:
            settings = control.ctx.read_settings(rest[0])
        except (OSError, ValueError) as fault:
            telemetry.log("settings_unreadable", level="error", why=str(fault))
            return
        control.adopt(settings)


class Control:
    """All parts of the role, from start to close."""

    def __init__(self, ctx: RoleContext, session: aiohttp.ClientSession, store: Store) -> None:
        self.ctx = ctx
        self._session = session
        self._settings = ctx.settings
        self._merged = Merged()
        self._central = Central(
            ctx.settings, ctx.state_folder, _own_version(), lambda: self._doors.heard_of_devices,
            lambda: self._doors.bases,
        )  # fmt: skip
        self._store = store
        self._doors = Doors(
            ctx.state_folder, self._merged, self._want_key, self._introspect, self._status, self._greeting,
            lambda send, message: self._messages.take(send, message),
        )  # fmt: skip
        self._sign_in = SignIn(
            ctx.settings, ctx.state_folder, store, session, Keys(self._known_keys, self._want_key),
            self._central.session_of, lambda facts: self._doors.tell({"t": "sessions", "facts": facts}),
            lambda sids: self._doors.overlay.put_ended(sids, self._central.clock()), self._doors.tell,
            self._central.clock, lambda: self._central.table,
        )  # fmt: skip
        live = self._sign_in.context.live
        self._messages = SessionMessages(live, self._sign_in.hand_over, self._sign_in.logout.sign_out)
        self._central.sessions.connect(store, live)
        self._central.pins.connect(self._sign_in.context.pins)
        self._cuts = Cuts(ctx.state_folder, self._doors.overlay, store, time.time)
        self._doors.acts = Acts(self._cuts, self._sign_in.context.pins, self._doors, ctx.settings.workers).answer
        self._lead = Lead(store, ctx.state_folder) if ctx.settings.database else None
        self._keys: dict[str, IssuerKeys] = {}
        self._introspectors: dict[str, Introspector] = {}
        self._loops: dict[str, asyncio.Task[None]] = {}
        self._saving: asyncio.Task[None] | None = None
        self._web: WebServer | None = None
        self._admin: web.AppRunner | None = None

    async def start(self, pages: Pages | None) -> None:
        self.adopt(self._settings)
        self._cuts.start()
        await self._doors.start()
        self._saving = asyncio.get_running_loop().create_task(self._doors.sightings.keep_saved())
        self._sign_in.start()
        if self._lead is not None:
            self._lead.start()
        app = make_app()
        self._central.add_to(app, begins=pages is None)
        self._sign_in.add_to(app)
        if pages is not None:
            pages(app)
        self._web = WebServer(app, self.ctx.state_folder)
        await self._web.start()
        await self._start_admin()

    async def close(self) -> None:
        if self._lead is not None:
            await self._lead.close()
        for loop in self._loops.values():
            loop.cancel()
        for keys in self._keys.values():
            keys.close()
        for introspector in self._introspectors.values():
            introspector.close()
        if self._web is not None:
            await self._web.close()
        if self._admin is not None:
            await self._admin.cleanup()
        if self._saving is not None:
            self._saving.cancel()
        self._central.close()
        self._cuts.close()
        await self._messages.close()
        await self._sign_in.close()
        self._doors.close()
        await self._doors.sightings.save()

    def adopt(self, settings: Settings) -> None:
        """Follow the issuers of these settings; those that did not change keep what is known of them."""
        self._settings = settings
        self._central.adopt(settings)
        self._sign_in.adopt(settings)
        wanted = {issuer.name: issuer for issuer in settings.issuers}
        for name in [name for name, keys in self._keys.items() if wanted.get(name) != keys.issuer]:
            self._loops.pop(name).cancel()
            self._keys.pop(name).close()
            if name in self._introspectors:
                self._introspectors.pop(name).close()
        addresses = {name: issuer.issuer for name, issuer in wanted.items()}
        self._doors.overlay.keep_issuers(addresses)
        self._doors.sightings.configure(addresses, settings.sightings_s)
        for name, issuer in wanted.items():
            if name not in self._keys:
                self._follow(issuer)

    def _follow(self, issuer: Issuer) -> None:
        keys = IssuerKeys(issuer, self._fetch, self._publish, wall=time.time, monotonic=time.monotonic)
        kept = self._doors.overlay.keys.get(issuer.name)
        self._keys[issuer.name] = keys
        if kept is not None:
            keys.restore(kept["jwks"], kept["at"])
        self._loops[issuer.name] = asyncio.get_running_loop().create_task(keys.stay_fresh())
        if issuer.introspection is not None:
            self._introspectors[issuer.name] = Introspector(
                issuer, issuer.introspection, self._session, wall=time.time, monotonic=time.monotonic
            )

    def _greeting(self) -> list[Message]:
        return [self._central.greeting(), self._sign_in.context.ring.message()]

    def _known_keys(self, issuer: str) -> tuple[Sequence[Jwk], int]:
        keys = self._keys.get(issuer)
        return (keys.jwks, keys.fetched_at) if keys is not None else ((), 0)

    async def _fetch(self, issuer: Issuer) -> Fetched:
        return await fetch_keys(self._session, issuer)

    def _publish(self, name: str, jwks: Sequence[Jwk], at: int) -> None:
        self._doors.overlay.put_keys(name, self._keys[name].issuer.issuer, jwks, at)

    async def _want_key(self, issuer: str, kid: str) -> None:
        keys = self._keys.get(issuer)
        if keys is not None:
            await keys.want(kid)

    async def _introspect(self, issuer: str, token: str) -> Answer:
        introspector = self._introspectors.get(issuer)
        return await introspector.ask(token) if introspector is not None else NONE

    async def _start_admin(self) -> None:
        view = admin.AdminView(
            self._checks, self._issuers, lambda: self._doors.overlay.seq, lambda: self._doors.live_seq, self._version,
            self._catalogs, lambda: self._doors.devices, lambda: feed_gauges(self._central.feeds),
        )  # fmt: skip
        self._admin = web.AppRunner(admin.make_app(view, self._merged), access_log=None, shutdown_timeout=1.0)
        await self._admin.setup()
        passed: socket.socket | None = self.ctx.sockets.get(ADMIN)
        if passed is not None:
            await web.SockSite(self._admin, passed).start()
            return
        host, _, port = self._settings.admin_address.rpartition(":")
        try:
            await web.TCPSite(self._admin, host.strip("[]"), int(port), reuse_port=True).start()
        except OSError as error:  # the pages and the doors matter more than the metrics
            telemetry.log("admin_not_listening", level="error", address=self._settings.admin_address, why=str(error))

    # === what it knows of itself ===

    def _checks(self) -> list[admin.Check]:
        doors = self._doors
        served = f"{doors.serving} of {doors.connected} doors serve one"
        checks = [
            admin.Check("node", self.ctx.node.value == UP, self.ctx.node.name),
            admin.Check("doors", doors.connected > 0, f"{doors.connected} of {self._settings.workers} connected"),
            admin.Check("base", doors.connected == doors.serving > 0, served if doors.serving else NO_BASE),
            admin.Check(
                "overlay", doors.live_seq == doors.overlay.seq, f"{doors.live_seq} of {doors.overlay.seq} live", False
            ),
        ]
        for issuer in self._issuers():
            detail = f"{issuer.keys} keys" + (f", away: {issuer.fault}" if issuer.fault else "")
            checks.append(admin.Check(f"issuer {issuer.name}", issuer.keys > 0 and not issuer.fault, detail, False))
        for catalog in self._catalogs():
            detail = "never read" if catalog.age_s is None else f"read {catalog.age_s:.0f} s ago"
            detail += f", away: {catalog.fault}" if catalog.fault else ""
            good = not catalog.fault and catalog.age_s is not None
            checks.append(admin.Check(f"catalog {catalog.name}", good, detail, False))
        for each in self._doors.devices:
            name, fault = f"device {each.get('device')} {each.get('environment')}", str(each.get("fault") or "")
            checks.append(admin.Check(name, not fault, fault or str(each.get("state")), False))
        checks.append(admin.Check("store", not self._store.fault, self._store.fault or "answers", False))
        for name, asked in sorted(self._introspectors.items()):
            checks.append(admin.Check(f"introspection {name}", not asked.fault, asked.fault or "answers", False))
        return checks

    def _issuers(self) -> list[admin.IssuerState]:
        return [admin.IssuerState(name, len(k.jwks), k.age_s, k.fault) for name, k in sorted(self._keys.items())]

    def _catalogs(self) -> list[admin.CatalogState]:
        return catalog_states(self._doors.catalogs)

    def _version(self) -> dict[str, Any]:
        return {"version": _own_version(), "seq": self._doors.overlay.seq}

    def _status(self) -> dict[str, Any]:
        """For the command line."""
        now_s = time.monotonic()
        return {
            **self._version(),
            "node": self.ctx.node.name,
            "pid": os.getpid(),
            "supervisor_pid": os.getppid(),
            "workers": self.ctx.settings.workers,
            "live_seq": self._doors.live_seq,
            "roles": [follower_status(each, now_s) for each in self._doors.followers],
            "issuers": issuer_status(self._issuers()),
            "store_fault": self._store.fault,
        }


def _own_version() -> str:
    try:
        return version("stagedoor")
    except PackageNotFoundError:  # run from a checkout that is not installed
        return "unknown"
