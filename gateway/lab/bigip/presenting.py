"""How an object looks over the wire: kind, selfLink, subcollections by reference or in full.

Links always begin with `https://localhost` and carry the version, whatever address was asked.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Final

from gateway.lab.bigip.collections import PARTS, POOL, PROFILE, VIRTUAL
from gateway.lab.bigip.properties import camel, collection_of
from gateway.lab.bigip.refusals import Json
from gateway.lab.bigip.templates import TEMPLATES

HOST: Final = "https://localhost"
SAID_TO_BE_NONE: Final = {  # elsewhere a value that is not there is left out
    POOL: {"serviceDownAction": "none"},
    "sys/provision": {"level": "none"},
    VIRTUAL: {"serviceDownImmediateAction": "none"},
} | {
    collection_of(command): {camel(name): "none" for name, usual in template.items() if usual == "none"}
    for command, template in TEMPLATES.items()
    if collection_of(command).startswith(PROFILE)
}
Health = Callable[[str], str]  # of a member's full path: up, down, checking


def kind_of(collection: str) -> str:
    words = collection.split("/")
    return ":".join(("tm", *words, f"{words[-1]}state"))


def collection_kind(collection: str) -> str:
    words = collection.split("/")
    return ":".join(("tm", *words, f"{words[-1]}collectionstate"))


def tilde(path: str) -> str:
    """As a path names it in a link: `%` of a route domain is escaped."""
    return path.replace("/", "~").replace("%", "%25")


class Presenter:
    def __init__(self, version: str, health: Health) -> None:
        self._version = version
        self._health = health

    def link(self, collection: str, *names: str) -> str:
        path = "/".join((collection, *(tilde(name) for name in names)))
        return f"{HOST}/mgmt/tm/{path}?ver={self._version}"

    def object(self, collection: str, values: Json, *, expand: bool = False) -> Json:
        parts = PARTS.get(collection, ())
        shown: Json = {"kind": kind_of(collection)} | SAID_TO_BE_NONE.get(collection, {})
        shown |= {key: value for key, value in values.items() if key not in parts and value != []}
        path = values["fullPath"]
        shown["selfLink"] = self.link(collection, path)
        for part in parts:
            reference: Json = {
                "link": self.link(f"{collection}/{tilde(path)}/{part}"),
                "isSubcollection": True,
            }
            if expand and values.get(part):
                reference["items"] = self.parts(collection, values, part)
            shown[f"{part}Reference"] = reference
        return shown

    def parts(self, collection: str, values: Json, part: str) -> list[Json]:
        return [self.part(collection, values, part, one) for one in values.get(part, [])]

    def part(self, collection: str, values: Json, part: str, one: Json) -> Json:
        shown = {"kind": kind_of(f"{collection}/{part}"), **one, "generation": values.get("generation", 1)}
        if collection == POOL:
            shown |= self._standing(one, monitored="monitor" in values)
        shown["selfLink"] = self.link(f"{collection}/{tilde(values['fullPath'])}/{part}", one["fullPath"])
        return {key: value for key, value in shown.items() if value != []}

    def _standing(self, member: Json, *, monitored: bool) -> Json:
        """What an operator set wins over what the monitor found."""
        session = "monitor-enabled" if monitored else "user-enabled"
        state = self._health(member["fullPath"]) if monitored else "unchecked"
        return {
            "session": "user-disabled" if member.get("session") == "user-disabled" else session,
            "state": "user-down" if member.get("state") == "user-down" else state,
        }

    def collection(self, collection: str, items: Iterable[Json], kind: str = "") -> Json:
        """`items` is absent where there are none."""
        shown: Json = {
            "kind": kind or collection_kind(collection),
            "selfLink": f"{HOST}/mgmt/tm/{collection}?ver={self._version}",
        }
        found = list(items)
        if found:
            shown["items"] = found
        return shown


def stats(link: str, entries: dict[str, Any]) -> Json:
    """The form of all statistics: entries below a link, values in `description` or `value`."""
    shown = {
        name: value if isinstance(value, dict) else {"value" if isinstance(value, int) else "description": value}
        for name, value in entries.items()
    }
    return {link: {"nestedStats": {"entries": shown}}}
