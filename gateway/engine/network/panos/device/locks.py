"""Who is at work on a firewall: locks, edits that nobody has committed yet, jobs, and what it calls ourselves.

A lock of ours is taken with a comment that says which Stagedoor took it, so that one which a dead process left behind
is known again. Nobody else's is ever removed. Whether a lock was taken or released is read back wherever the answer
does not say so.
"""

from __future__ import annotations

from typing import Final, Literal, NamedTuple
from xml.etree.ElementTree import Element, SubElement, tostring

from gateway.engine.network.faults import Busy, Rejected, Unknown
from gateway.engine.network.panos.device.answers import Answer
from gateway.engine.network.panos.device.client import Client
from gateway.engine.network.panos.device.state import command

Noun = Literal["config", "commit"]
NOUNS: Final[tuple[Noun, ...]] = ("config", "commit")
COMMENT_MOST: Final = 256
# How devices say that somebody's lock is in the way: to be tried again when it is gone, and not before.
_BLOCKED: Final = ("administrators are holding", "locked by", "lock is already held by")


class Lock(NamedTuple):
    """``scope``: a vsys, a device group or `shared`."""

    noun: Noun
    admin: str
    scope: str
    comment: str = ""

    def __str__(self) -> str:
        said = f", `{self.comment}`" if self.comment else ""
        return f"{self.noun} lock of `{self.admin}` on {self.scope}{said}"


class Pending(NamedTuple):
    """One edit that is in the candidate and not running."""

    owner: str
    xpath: str
    action: str = ""


def asked(root: Element, scope: str = "", target: str = "") -> dict[str, str]:
    """The parameters of an operational command. ``target``: the serial of a firewall that a Panorama is to ask."""
    said = {"type": "op", "cmd": tostring(root, encoding="unicode"), "vsys": scope, "target": target}
    return {name: value for name, value in said.items() if value}


def is_blocked(said: str) -> bool:
    """Whether a refusal is because of somebody's lock."""
    return any(each in said.lower() for each in _BLOCKED)


async def whoami(client: Client) -> str:
    """The administrator of our key. Raises `DeviceFault`."""
    answer = await client.read(asked(command("show", "admins")))
    for entry in _entries(answer, "admins/entry"):
        if (entry.findtext("self") or "").strip() == "yes" and (name := (entry.findtext("admin") or "").strip()):
            return name
    raise Rejected(f"{client.where} does not say whose key this is, and only our own edits may be committed")


async def locks_of(client: Client, target: str = "") -> tuple[Lock, ...]:
    """All there are, whatever they are on. Raises `DeviceFault`."""
    found = []
    for noun in NOUNS:
        root = command("show", f"{noun}-locks")
        if target or not client.is_panorama:  # a firewall that is not told which lists those of one vsys
            SubElement(root[0], "vsys").text = "all"
        answer = await client.read(asked(root, target=target))
        for entry in _entries(answer, f"{noun}-locks/entry"):
            comment = _shown(client, entry, "comment")
            scope = _shown(client, entry, "name") or "shared"
            found.append(Lock(noun, client.shown(entry.get("name", "")), scope, "" if comment == "(null)" else comment))
    return tuple(found)


async def pending_of(client: Client, target: str = "") -> tuple[Pending, ...]:
    """What is edited and not committed, by whom. Raises `DeviceFault`."""
    answer = await client.read(asked(command("show", "config", "list", "changes"), target=target))
    return tuple(
        Pending(
            _shown(client, each, "owner"), _shown(client, each, "xpath").replace('"', "'"),
            _shown(client, each, "action"),
        )
        for each in _entries(answer, "journal/entry")
    )  # fmt: skip


async def take(client: Client, noun: Noun, scope: str, comment: str, me: str) -> None:
    """Does no harm twice. Raises `Busy` where somebody else has it, `DeviceFault`."""
    root = command("request", f"{noun}-lock", "add")
    SubElement(root[0][0], "comment").text = comment[:COMMENT_MOST]
    wanted = Lock(noun, me, scope, comment[:COMMENT_MOST])
    try:
        await client.write(asked(root, scope))
    except Rejected:
        held = [lock for lock in await locks_of(client) if lock.noun == noun]
        if wanted in held:
            return
        if not held:
            raise
        raise Busy(f"{client.where} is being worked on: {held[0]}") from None


async def release(client: Client, noun: Noun, scope: str, me: str) -> None:
    """A lock of ours, looked at first: a device that let go of it when it committed may have given it to somebody else,
    whose it stays whatever our role could do. Raises `DeviceFault` where ours is still there."""
    if not await _is_held(client, noun, scope, me):
        return
    try:
        await client.write(asked(command("request", f"{noun}-lock", "remove"), scope))
    except (Rejected, Unknown):
        if await _is_held(client, noun, scope, me):
            raise


async def _is_held(client: Client, noun: Noun, scope: str, me: str) -> bool:
    return any((lock.noun, lock.admin, lock.scope) == (noun, me, scope) for lock in await locks_of(client))


def _entries(answer: Answer, path: str) -> list[Element]:
    return [] if answer.result is None else answer.result.findall(path)


def _shown(client: Client, entry: Element, name: str) -> str:
    return client.shown((entry.findtext(name) or "").strip())
