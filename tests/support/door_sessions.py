"""A door for people in browsers: control scripted with sessions, codes and keys, and a client that keeps cookies.

`SessionControl` is what control's end of the link says; a test puts sessions into it and decides whether it answers.
`Browser` speaks raw HTTP to the door as a browser behind a TLS-terminating load balancer does: it names the scheme, the
fetch metadata of a navigation, and its cookies, and keeps what it is told to keep.
"""

from __future__ import annotations

import os
import time
from base64 import b64encode, urlsafe_b64encode
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from hashlib import blake2b
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

from gateway import config
from gateway.config.sign_in import Client, EnvironmentSessions
from gateway.identity.session import (
    NONCE_BYTES,
    SessionCookie,
    SessionFacts,
    SessionKeys,
    Ticket,
    facts_message,
    open_ticket,
    seal_cookie,
)
from gateway.link import Link
from gateway.snapshot import FrameStore, Manifest, frame_body, write_manifest
from policy.access import read_policy
from policy.builtin import Builtin
from policy.compile import compile_frames
from policy.derive import derive
from policy.facts import Catalog, KeyField
from tests.support.door import ISSUER, Control, LoopThread, RunningDoor, running_door, settings_for
from tests.support.small_catalog import NOWHERE, POLICY
from tests.support.tokens import Signer
from tests.support.wire import Client as Wire
from tests.support.wire import Got

CENTRAL = "central.test"
KEY = b"s" * 32
OLD_KEY = b"o" * 32
NAVIGATION = {
    "Accept": "text/html,application/xhtml+xml,*/*;q=0.8", "Sec-Fetch-Site": "none", "Sec-Fetch-Mode": "navigate",
    "Sec-Fetch-Dest": "document",
}  # fmt: skip


def session_id(number: int = 1) -> str:
    return f"s-{number:032x}"


def facts(number: int = 1, sub: str = "jane", **changes: Any) -> SessionFacts:
    """What control says of a good session that was begun a minute ago."""
    now = int(time.time())
    said = {"sub": sub, "auth_time": now - 60, "amr": ["pwd"], **changes.pop("claims", {})}
    good = SessionFacts(session_id(number), "", "test", said, now - 60, now + 3600, 1800, 60, 1)
    return replace(good, **changes)


class SessionControl(Control):
    """The scripted control of `tests.support.door`, which knows sessions too."""

    def __init__(self, thread: LoopThread, path: Path, signers: tuple[Signer, ...]) -> None:
        self.session_keys = [("k1", KEY)]
        self.sessions: dict[str, SessionFacts] = {}
        self.codes: dict[str, tuple[str, str, str, str]] = {}  # code → host, proof, cookie, target
        self.wanted_sessions: list[dict[str, Any]] = []
        self.found: list[list[str]] = []  # sessions and whom the door found them to be, as it told them
        self.redeemed: list[dict[str, Any]] = []
        self.signed_out: list[dict[str, Any]] = []
        self.to = "https://idp.test/end?id_token_hint=x&state=y"
        self.tells = True
        self.ended: list[str] = []
        self.ended_from = 0
        self.not_before: dict[str, int] = {}
        self.shut: list[str] = []
        super().__init__(thread, path, signers)

    def overlay(self) -> dict[str, Any]:
        more = {"ended": self.ended, "ended_from": self.ended_from, "not_before": self.not_before}
        more["shut"] = self.shut
        return {**super().overlay(), **more}

    def key_message(self) -> dict[str, Any]:
        return {"t": "session_keys", "keys": [[kid, b64encode(key).decode()] for kid, key in self.session_keys]}

    def _said(self, link: Link, message: dict[str, Any]) -> None:
        kind = message["t"]
        if kind == "hello":
            link.send(self.key_message())
            super()._said(link, message)
        elif kind == "sessions":
            self.wanted_sessions.append(message)
            if self.tells:
                unknown = [SessionFacts(sid, "unknown") for sid in message["want"] if sid not in self.sessions]
                known = [self.sessions[sid] for sid in message["want"] if sid in self.sessions]
                link.send({"t": "sessions", "facts": [facts_message(each) for each in known + unknown]})
        elif kind == "found":
            self.found += message["people"]
        elif kind == "redeem":
            self.redeemed.append(message)
            if self.tells:
                link.send({"t": "redeemed", "id": message["id"], **self._redeem(message)})
        elif kind == "sign_out":
            self.signed_out.append(message)
            if self.tells:
                link.send({"t": "signed_out", "id": message["id"], "to": self.to})
        else:
            super()._said(link, message)

    def _redeem(self, message: dict[str, Any]) -> dict[str, str]:
        host, proof, cookie, target = self.codes.pop(message["code"], ("", "", "", ""))
        if (host, proof) != (message["host"], message["proof"]):
            return {"cookie": "", "target": "", "why": "no such code"}
        return {"cookie": cookie, "target": target, "why": ""}

    # === what a test does ===

    def tell(self, message: dict[str, Any]) -> None:
        self.thread.call(lambda: self.server.broadcast(message))

    def push(self, *said: SessionFacts) -> None:
        self.tell({"t": "sessions", "facts": [facts_message(each) for each in said]})

    def put(self, said: SessionFacts) -> SessionFacts:
        self.sessions[said.sid] = said
        return said

    def cookie(self, host: str, number: int = 1, key: tuple[str, bytes] | None = None, **changes: Any) -> str:
        """The session cookie's value for a host."""
        good = SessionCookie(session_id(number), "test", "jane", int(time.time()), ("pwd",), int(time.time()) + 3600)
        keys = SessionKeys([key or self.session_keys[0]])
        return seal_cookie(replace(good, **changes), host, keys, os.urandom(NONCE_BYTES))

    def ticket(self, location: str) -> Ticket:
        """The ticket in an address of the sign-in."""
        (text,) = parse_qs(urlsplit(location).query)["ticket"]
        opened = open_ticket(text.encode(), SessionKeys(self.session_keys), int(time.time()))
        assert opened is not None
        return opened

    def code_for(self, ticket: Ticket, number: int = 1) -> str:
        """What control does when somebody has signed in: a one-time code for the ticket's host and browser."""
        code = urlsafe_b64encode(os.urandom(32)).rstrip(b"=").decode()
        host = ticket.host.partition(":")[0]
        self.codes[code] = (ticket.host, ticket.proof, self.cookie(host, number), ticket.target)
        return f"/.stagedoor/arrive?code={code}&to={ticket.id[:8]}"


@dataclass
class Browser:
    """One browser: cookies by host, and what it adds to every request."""

    port: int
    cookies: dict[str, dict[str, str]] = field(default_factory=dict)
    scheme: str = "https"

    def ask(
        self, host: str, target: str = "/", method: str = "GET", body: bytes = b"", *, cookie: str | None = None,
        **fields: str,
    ) -> Got:  # fmt: skip
        """One request, and its answer. Names in ``fields`` are written with ``_`` for ``-``."""
        jar = self.cookies.setdefault(host.partition(":")[0], {})
        sent = cookie if cookie is not None else "; ".join(f"{name}={value}" for name, value in jar.items())
        lines = {"Host": host, "X-Forwarded-Proto": self.scheme, "Connection": "close"}
        lines.update({name.replace("_", "-"): value for name, value in fields.items()})
        if sent:
            lines.setdefault("Cookie", sent)
        if body or method == "POST":
            lines["Content-Length"] = str(len(body))
        head = f"{method} {target} HTTP/1.1\r\n" + "".join(f"{name}: {value}\r\n" for name, value in lines.items())
        with Wire(self.port, 10) as client:
            client.send(head.encode("latin-1") + b"\r\n" + body)
            got, self.set_cookies = read_with_cookies(client, method)
        for line in self.set_cookies:
            self._keep(jar, line)
        return got

    def go(self, host: str, target: str = "/", **fields: str) -> Got:
        """Go to a page."""
        named: dict[str, Any] = {name.replace("-", "_"): value for name, value in NAVIGATION.items()}
        return self.ask(host, target, **{**named, **fields})

    def _keep(self, jar: dict[str, str], line: str) -> None:
        pair, *attributes = line.split("; ")
        name, _, value = pair.partition("=")
        assert {"Path=/", "Secure", "HttpOnly", "SameSite=Lax"} <= set(attributes), line
        assert not any(each.lower().startswith("domain") for each in attributes)
        if "Max-Age=0" in attributes:
            jar.pop(name, None)
        else:
            jar[name] = value


def read_with_cookies(client: Wire, method: str) -> tuple[Got, list[str]]:
    """The answer and every Set-Cookie line of it: a mapping of headers would keep the last one alone."""
    raw = b""
    while piece := client.sock.recv(65536):
        raw += piece
    lines = raw.partition(b"\r\n\r\n")[0].decode("latin-1").split("\r\n")[1:]
    client.buffer = raw
    client.sock.close()
    got = client.answer(method)
    return got, [line.partition(": ")[2] for line in lines if line.lower().startswith("set-cookie:")]


@dataclass
class SessionWorld:
    """A door with sessions."""

    door: RunningDoor
    control: SessionControl

    def browser(self) -> Browser:
        return Browser(self.door.port)

    def signed_in(self, host: str = "echo.test", number: int = 1, **changes: Any) -> Browser:
        """A browser that holds a good session on a host."""
        self.control.put(facts(number, **changes))
        browser = self.browser()
        browser.cookies[host] = {"__Host-stagedoor": self.control.cookie(host, number)}
        return browser


def session_settings(state: Path, **changes: Any) -> config.Settings:
    """Settings under which people sign in with browsers; the listener believes its load balancer's scheme."""
    settings = settings_for(
        state,
        listeners=(config.Listener("main", "127.0.0.1:0", trusted_peers=("127.0.0.1/32",)),),
        issuers=(replace(ISSUER, client=Client("door", "")),),
        central_host=CENTRAL,
    )
    central = replace(settings.environments["prod"], name="central")  # only for the scripted upstream's address
    settings = replace(settings, environments={**settings.environments, "central": central})
    return replace(settings, **changes)


def limited(settings: config.Settings, idle_s: float | None, absolute_s: float | None) -> config.Settings:
    """The same with ends of its own for the environment `prod`."""
    prod = replace(settings.environments["prod"], sessions=EnvironmentSessions(idle_s, absolute_s))
    return replace(settings, environments={**settings.environments, "prod": prod})


@contextmanager
def session_door(
    state: Path, catalog: Catalog, own_url: str, *, settings: config.Settings | None = None, policy: object = None
) -> Iterator[SessionWorld]:
    """A door for people. ``own_url`` is where Stagedoor's own service answers."""

    def publish(folder: Path) -> None:
        builtin = Builtin(CENTRAL, ("GET /.stagedoor/sign-in",), ("GET /", "POST /act"), upstream=own_url)
        access, faults = read_policy(policy or POLICY, lambda path: NOWHERE)
        assert faults == []
        derived = derive(catalog, access, ("prod",), builtin)
        frames = compile_frames(catalog, derived, (KeyField("test", "person", "sub", "metadata.name"),))
        store = FrameStore(folder)
        names = {name: store.write(frame) for name, frame in frames.items()}
        base = blake2b(frame_body(sorted(names.items())), digest_size=6).hexdigest()
        write_manifest(folder, Manifest(base, "test", names))

    chosen = settings or session_settings(state)
    with running_door(state, publish=publish, settings=chosen, control_kind=SessionControl) as door:
        assert isinstance(door.control, SessionControl)
        yield SessionWorld(door, door.control)
