"""Messages to User-ID: which tags addresses and users get and lose, and what the firewall says of each entry.

A message is one document: what it unregisters goes before what it registers, so that both renew a tag. Entries fail by
themselves while all others take effect. That a tag is there already, or gone already, is no failure: firewalls differ
in whether they say so, and what becomes of its end nobody has measured; whoever must be sure reads back. Ends are
instants: the seconds that are left are counted at each try, so that waiting lengthens nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from enum import StrEnum
from typing import Final, NamedTuple
from xml.etree.ElementTree import Element, SubElement, tostring

from gateway.engine.network.panos.device.answers import ENTRIES, Answer
from gateway.engine.network.panos.device.client import Client

LONGEST_S: Final = 30 * 24 * 3600  # that a tag may last which ends at all
NEVER: Final = 0  # the end of a tag that has none
_THERE, _GONE = "already exists", "does not exist"


class What(StrEnum):
    """What carries tags, by the name of its attribute."""

    ADDRESS = "ip"
    USER = "user"

    @property
    def section(self) -> str:
        """What the sections about it end with."""
        return "-user" if self is What.USER else ""


Who = tuple[What, str]


class Entry(NamedTuple):
    """``tags`` with their ends, epoch seconds or `NEVER`."""

    what: What
    key: str
    tags: tuple[tuple[str, int], ...]

    @property
    def who(self) -> Who:
        return self.what, self.key


class Message(NamedTuple):
    unregister: Sequence[Entry] = ()
    register: Sequence[Entry] = ()


class Told(NamedTuple):
    """``lacked``: only where the firewall says so."""

    failed: Mapping[Who, str]
    lacked: frozenset[Who]


async def tell(client: Client, message: Message, now: Callable[[], float]) -> Mapping[Who, str]:
    """What did not take effect, and why in the firewall's words. Raises `DeviceFault`; `Unknown` where the rest may
    have taken effect or not."""
    return (await told(client, message, now)).failed


async def told(client: Client, message: Message, now: Callable[[], float]) -> Told:
    """The same, with who had not what it was to lose."""

    def said() -> Mapping[str, str]:
        return {"type": "user-id", "cmd": document_of(message, now()), "vsys": client.vsys}

    failed, lacked = told_of(await client.write_anew(said))
    return Told({who: client.shown(why) for who, why in failed.items()}, lacked)


def document_of(message: Message, now_s: float) -> str:
    """A tag that would end within the second is left out."""
    root = Element("uid-message")
    SubElement(root, "version").text = "1.0"
    SubElement(root, "type").text = "update"
    payload = SubElement(root, "payload")
    for what in What:
        _section(payload, f"unregister{what.section}", _about(what, message.unregister), now_s, is_new=False)
        _section(payload, f"register{what.section}", _about(what, message.register), now_s, is_new=True)
    return tostring(root, encoding="unicode")


def _about(what: What, entries: Iterable[Entry]) -> list[Entry]:
    return [entry for entry in entries if entry.what is what]


def _section(payload: Element, name: str, entries: list[Entry], now_s: float, *, is_new: bool) -> None:
    """None where it would say nothing: an entry without tags would take away those of everybody."""
    section = Element(name)
    for what, key, tags in entries:
        members = Element("tag")
        for tag, end in tags:
            left_s = min(int(end - now_s), LONGEST_S)
            if is_new and end != NEVER and left_s < 1:
                continue
            member = SubElement(members, "member", {"timeout": str(left_s)} if is_new and end != NEVER else {})
            member.text = tag
        if len(members):
            SubElement(section, "entry", {what.value: key}).append(members)
    if len(section):
        payload.append(section)


def told_of(answer: Answer) -> Told:
    failed: dict[Who, str] = {}
    lacked: set[Who] = set()
    payload = None if answer.root is None else answer.root.find(ENTRIES)
    for section in payload if payload is not None else ():
        what = What.USER if section.tag.endswith(What.USER.section) else What.ADDRESS
        takes = section.tag.startswith("un")
        for entry in section.findall("entry"):
            who, why = (what, entry.get(what.value, "")), entry.get("message", "")
            if (_GONE if takes else _THERE) not in why.lower():
                failed[who] = why
            elif takes:
                lacked.add(who)
    return Told(failed, frozenset(lacked))
