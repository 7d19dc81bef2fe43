"""External dynamic lists: fetched from a URL at the pace the configuration says, with the vendor's rules for failures.

A server that cannot be reached, or answers nonsense, leaves the last good list in force. One that cannot be believed (a
certificate that does not hold under a certificate profile, a password refused) takes the list out of force: what rules
say about it then matches nothing. Without a certificate profile the server is not checked at all, which a commit warns
about. Entries beyond the room there is are left out, and the system log says so.
"""

from __future__ import annotations

import asyncio
import ipaddress
import ssl
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final
from xml.etree.ElementTree import Element

import aiohttp

from gateway.lab.panos.answers import at

PACES: Final = {"five-minute": 300.0, "hourly": 3600.0, "daily": 86400.0, "weekly": 604800.0, "monthly": 2592000.0}
KINDS: Final = ("ip", "url", "domain")
LARGEST: Final = 16 * 1024 * 1024
WAIT_S: Final = 30.0


@dataclass
class List:
    """``enforced`` False: authentication failed. ``fetched_at``: epoch seconds of the last attempt."""

    name: str
    kind: str
    url: str
    profile: str
    credentials: tuple[str, str]
    every_s: float
    entries: list[str] = field(default_factory=list)
    enforced: bool = True
    fetched_at: float = float("-inf")
    state: str = "never fetched"
    etag: str = ""


class Lists:
    """``clock``: epoch seconds. ``authorities``: certificate profile → PEM file."""

    def __init__(self, clock: Callable[[], float], room: Callable[[], int]) -> None:
        self._clock = clock
        self._room = room
        self.authorities: dict[str, Path] = {}
        self.held: dict[str, List] = {}
        self.log: list[str] = []
        self._fetching = asyncio.Lock()  # whoever asks for what is due also waits for what is on its way

    def adopt(self, root: Element) -> None:
        """What the running configuration says; a list that changed its address starts anew."""
        found = {one.name: one for one in configured(root)}
        for name, one in found.items():
            before = self.held.get(name)
            same = before is not None and (before.url, before.kind) == (one.url, one.kind)
            if before is not None and same:
                one.entries, one.enforced, one.etag = before.entries, before.enforced, before.etag
                one.fetched_at, one.state = before.fetched_at, before.state
        self.held = found

    def of(self, name: str) -> list[str] | None:
        one = self.held.get(name)
        return one.entries if one is not None and one.enforced else None

    async def refresh_due(self) -> None:
        async with self._fetching:
            now = self._clock()
            for one in list(self.held.values()):
                if now - one.fetched_at >= one.every_s:
                    await self.refresh(one)

    async def refresh(self, one: List) -> None:
        one.fetched_at = self._clock()
        try:
            text = await self._fetched(one)
        except (aiohttp.ClientConnectorCertificateError, _Disbelieved) as error:
            one.enforced = False
            self._say(one, f"EDL server authentication failed ({_short(error)}), the list is not enforced")
            return
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
            self._say(one, f"Unable to fetch external dynamic list ({_short(error)}), using old copy for refresh")
            return
        one.enforced = True
        if text is None:
            self._say(one, "not modified")
            return
        entries = list(dict.fromkeys(_entries(one.kind, text)))
        one.entries = entries[: self._room()]
        if len(entries) > len(one.entries):
            self._say(one, f"list capacity exceeded, {len(entries) - len(one.entries)} entries skipped")
        else:
            self._say(one, f"fetched, {len(one.entries)} entries")

    async def _fetched(self, one: List) -> str | None:
        """None where it has not changed. Raises whatever keeps it from being had."""
        headers = {"If-None-Match": one.etag} if one.etag else {}
        auth = aiohttp.BasicAuth(*one.credentials) if one.credentials[0] else None
        timeout = aiohttp.ClientTimeout(total=WAIT_S)
        async with (
            aiohttp.ClientSession(timeout=timeout, auth=auth) as session,
            session.get(one.url, headers=headers, ssl=self._tls(one), allow_redirects=False) as answer,
        ):
            if answer.status in (401, 403):
                raise _Disbelieved(f"HTTP {answer.status}")
            if answer.status == 304 and one.etag:
                return None
            if answer.status != 200:
                raise ValueError(f"HTTP {answer.status}")
            data = await answer.content.read(LARGEST + 1)
            while len(data) <= LARGEST and (more := await answer.content.read(LARGEST)):
                data += more
            if len(data) > LARGEST:
                raise ValueError("too large")
            one.etag = answer.headers.get("ETag", "")
            return data.decode("utf-8", "replace")

    def _tls(self, one: List) -> ssl.SSLContext | bool:
        if not one.profile:
            return False
        if one.profile not in self.authorities:
            raise _Disbelieved(f"certificate profile {one.profile} has no authority")
        return ssl.create_default_context(cafile=str(self.authorities[one.profile]))

    def _say(self, one: List, text: str) -> None:
        one.state = text
        self.log.append(f"{one.name}: {text}")


class _Disbelieved(Exception):
    pass


def _short(error: Exception) -> str:
    return str(error)[:120] or type(error).__name__


def configured(root: Element) -> Iterator[List]:
    """The lists of a configuration, whichever vsys they are of."""
    paths = ("./shared", "./devices/entry/vsys/entry", "./panorama/vsys/entry")
    for holder in (holder for path in paths for holder in root.findall(path)):
        for entry in holder.findall("external-list/entry"):
            for kind in KINDS:
                source = entry.find(f"type/{kind}")
                if source is not None and at(source, "url"):
                    yield _list(entry.get("name", ""), kind, source)


def _list(name: str, kind: str, source: Element) -> List:
    pace = next((PACES[one.tag] for one in source.find("recurring") or () if one.tag in PACES), PACES["hourly"])
    url = at(source, "url")
    profile = at(source, "certificate-profile")
    credentials = at(source, "auth/username"), at(source, "auth/password")
    return List(
        name, kind, url if "://" in url else f"http://{url}", "" if profile == "None" else profile, credentials, pace
    )


def warnings(root: Element) -> list[str]:
    """What a commit says about lists whose server is not checked."""
    return [
        f"External Dynamic List {one.name} is configured with no certificate profile."
        " Please select a certificate profile for performing server certificate validation."
        for one in configured(root)
        if one.url.startswith("https://") and not one.profile
    ]


def _entries(kind: str, text: str) -> Iterator[str]:
    """One a line, whatever follows a space is a comment; what is not of the kind is skipped."""
    for line in text.splitlines():
        entry = line.strip().partition(" ")[0]
        if not entry or entry.startswith(("#", ";", "//")):
            continue
        if kind != "ip" or _is_address(entry):
            yield entry


def _is_address(entry: str) -> bool:
    try:
        low, dash, high = entry.partition("-")
        if dash:
            return int(ipaddress.ip_address(low)) <= int(ipaddress.ip_address(high))
        ipaddress.ip_network(entry, strict=False)
    except ValueError:
        return False
    return True
