"""`type=user-id`: one document, seven sections, a fixed order, and an answer for every entry that did not work.

Unregister comes before register and login before logout, whatever the order in the document. What fails is said entry
by entry, with success for all the others: the envelope is an error as soon as one entry failed.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final
from xml.etree.ElementTree import Element, tostring

from gateway.lab.panos.answers import Answer, Declined, element, read, succeeded
from gateway.lab.panos.tags import AddressTable, BadEntry, Table, address_key

SECTIONS: Final = ("unregister", "register", "unregister-user", "register-user", "login", "logout", "groups")
DEFAULT_LOGIN_MIN: Final = 45
LONGEST_USER: Final = 255


@dataclass
class Mapping:
    """``ends``: epoch seconds, 0 for never."""

    user: str
    ends: float


@dataclass
class Manners:
    """What devices do differently, or nobody has measured."""

    duplicate_is_error: bool = True
    duplicate_refreshes: bool = False


@dataclass
class Identities:
    """What one vsys knows about people and addresses. ``clock``: epoch seconds."""

    clock: Callable[[], float]
    room: Callable[[], int]
    manners: Callable[[], Manners]
    mappings: dict[str, Mapping] = field(default_factory=dict)
    groups: dict[str, list[str]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.addresses = AddressTable(self.clock, self.room)
        self.users = Table(self.clock, self.room)

    def user_at(self, address: str) -> str:
        """Whom the device takes a source address for, "" for nobody."""
        held = self.mappings.get(address)
        if held is not None and held.ends and held.ends <= self.clock():
            del self.mappings[address]
            held = None
        return held.user if held is not None else ""

    def reboot(self) -> None:
        """Users' tags and groups stay; addresses' tags as they asked; who is where has to be learned again."""
        self.addresses.reboot()
        self.mappings.clear()

    def apply(self, document: str) -> Answer:
        """Raises `Declined` for what is no message at all."""
        message = read(document)
        payload = next(message.iter("payload"), None)
        if message.tag != "uid-message" or payload is None:
            raise Declined(17, "uid-message has no payload")
        sections = {section: payload.findall(section) for section in SECTIONS}
        if any(len(found) > 1 for found in sections.values()) or any(one.tag not in SECTIONS for one in payload):
            raise Declined(12, "payload takes one section of each kind: " + ", ".join(SECTIONS))
        answers, failed = [], False
        for name in SECTIONS:
            for section in sections[name]:
                answered = element(name, None, *self._section(name, section))
                failed |= len(answered) > 0
                answers.append(answered)
        response = element("uid-response", None, element("version", "2.0"), element("payload", None, *answers))
        if not failed:
            return succeeded(element("result", None, response))
        line = element("msg", None, element("line", None, response))
        return Answer(tostring(element("response", None, line, status="error")))

    def _section(self, name: str, section: Element) -> list[Element]:
        doing: dict[str, Callable[[Element], list[Element]]] = {
            "register": lambda entry: self._register(entry, self.addresses, "ip"),
            "unregister": lambda entry: self._unregister(entry, self.addresses, "ip"),
            "register-user": lambda entry: self._register(entry, self.users, "user"),
            "unregister-user": lambda entry: self._unregister(entry, self.users, "user"),
            "login": self._login,
            "logout": self._logout,
            "groups": self._group,
        }
        return [answer for entry in section.findall("entry") for answer in doing[name](entry)]

    def _register(self, entry: Element, table: Table, who: str) -> list[Element]:
        try:
            key = _key(entry, who)
        except BadEntry as error:
            return [_answer(entry, who, str(error))]
        persistent = who == "user" or entry.get("persistent", "1") != "0"
        answers, manners = [], self.manners()
        for member in entry.findall("tag/member"):
            text = (member.text or "").strip()
            try:
                timeout = int(member.get("timeout") or entry.get("timeout") or 0)
                refresh = manners.duplicate_refreshes
                new = table.register(key, text, timeout, persistent=persistent, refresh=refresh)
            except ValueError as error:
                answers.append(_answer(entry, who, str(error) if isinstance(error, BadEntry) else "Failed to register"))
                continue
            if not new and manners.duplicate_is_error:
                answers.append(_answer(entry, who, f"tag {text} already exists, ignore"))
        return answers

    def _unregister(self, entry: Element, table: Table, who: str) -> list[Element]:
        given = entry.get(who, "")
        try:
            key = _key(entry, who)
        except BadEntry as error:
            return [_answer(entry, who, str(error))]
        quiet = not self.manners().duplicate_is_error
        if not table.has(key):
            return [] if quiet else [_answer(entry, who, f"{who} {given} does not exist, ignore unreg")]
        tags = [(member.text or "").strip() for member in entry.findall("tag/member")]
        if not tags:
            table.forget(key)
        missing = [tag for tag in tags if not table.unregister(key, tag)]
        return [] if quiet else [_answer(entry, who, f"tag {tag} does not exist, ignore unreg") for tag in missing]

    def _login(self, entry: Element) -> list[Element]:
        user = entry.get("name", "").strip()
        if not user or len(user) > LONGEST_USER or any(ord(letter) < 32 for letter in user):
            return [_answer(entry, "name", "Invalid user name")]
        try:
            minutes = int(entry.get("timeout") or DEFAULT_LOGIN_MIN)
            if minutes < 0:
                raise ValueError
            key = _host(entry)
        except ValueError:
            return [_answer(entry, "name", "Invalid ip address")]
        self.mappings[key] = Mapping(user.lower(), self.clock() + 60 * minutes if minutes else 0.0)
        return []

    def _logout(self, entry: Element) -> list[Element]:
        try:
            key = _host(entry)
        except ValueError:
            return [_answer(entry, "name", "Delete mapping failed")]
        held, asked = self.user_at(key), entry.get("name", "").strip().lower()
        if not held or asked not in ("", held):
            return [_answer(entry, "name", "Delete mapping failed")]
        del self.mappings[key]
        return []

    def _group(self, entry: Element) -> list[Element]:
        people = [one.get("name", "").lower() for one in entry.findall("members/entry")]
        name = entry.get("name", "")
        if not name:
            return [_answer(entry, "name", "Invalid group name")]
        self.groups.pop(name, None)
        if people:
            self.groups[name] = people
        return []


def _key(entry: Element, who: str) -> str:
    if who == "ip":
        return address_key(entry.get("ip", ""))[0]
    user = entry.get("user", "").strip().lower()
    if not user or len(user) > LONGEST_USER:
        raise BadEntry("Invalid user name")
    return user


def _host(entry: Element) -> str:
    key, (low, high) = address_key(entry.get("ip", ""))
    if low != high:
        raise BadEntry("Invalid ip address")
    return key


def _answer(entry: Element, who: str, message: str) -> Element:
    said = {name: entry.get(name, "") for name in ((who,) if who != "name" else ("name", "ip"))}
    return element("entry", None, **said, message=message)
