"""Config and commit locks, one of each kind for each scope. A lock in shared covers every scope."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final
from xml.etree.ElementTree import Element

from gateway.lab.panos.answers import Declined, element

SHARED: Final = "shared"
LONGEST_COMMENT: Final = 256
ACQUIRED: Final = (
    "Successfully acquired lock. Other administrators will not be able to modify configuration"
    " until lock is released by {}."
)


@dataclass(frozen=True)
class Lock:
    admin: str
    scope: str
    comment: str
    at: float


class Locks:
    """``noun``: Config or Commit, as messages begin."""

    def __init__(self, noun: str) -> None:
        self.noun = noun
        self._held: dict[str, Lock] = {}

    def add(self, admin: str, scope: str, comment: str, at: float) -> str:
        """Raises `Declined` where the scope is locked, whoever holds it."""
        if len(comment) > LONGEST_COMMENT:
            raise Declined(
                12, f"comment can be at most {LONGEST_COMMENT} characters, but current length: {len(comment)}"
            )
        held = self._held.get(scope)
        if held is not None and held.admin == admin:
            raise Declined(14, f"You already own a {self.noun.lower()} lock for scope {scope}")
        if held is not None:
            raise Declined(14, f"{self.noun} lock is already held by {held.admin}")
        self._held[scope] = Lock(admin, scope, comment, at)
        return ACQUIRED.format(admin)

    def remove(self, admin: str, scope: str) -> str:
        """Raises `Declined` where nobody holds it, or somebody else."""
        held = self._held.get(scope)
        if held is None:
            raise Declined(14, f"{self.noun} is not currently locked for scope {scope}")
        if held.admin != admin:
            raise Declined(14, f"{self.noun} lock is already held by {held.admin}")
        del self._held[scope]
        return f"{self.noun} lock released for {admin}"

    def release(self, admin: str) -> None:
        """After a commit of the admin's."""
        self._held = {scope: lock for scope, lock in self._held.items() if lock.admin != admin}

    def of_others(self, admin: str, scope: str = "") -> Lock | None:
        """The lock that keeps ``admin`` from a scope; without one, from any."""
        for lock in self._held.values():
            if lock.admin != admin and (not scope or lock.scope in (scope, SHARED) or scope == SHARED):
                return lock
        return None

    def held(self) -> list[Lock]:
        return list(self._held.values())

    def any_held(self) -> bool:
        return bool(self._held)

    def listed(self, scope: str = "") -> Element:
        """``scope`` "" for all of them."""
        found = element(f"{self.noun.lower()}-locks")
        for lock in self._held.values():
            if scope in ("", lock.scope):
                found.append(_written(lock))
        return found


def _written(lock: Lock) -> Element:
    when = datetime.fromtimestamp(lock.at, UTC).strftime("%Y/%m/%d %H:%M:%S")
    return element(
        "entry",
        None,
        element("type", SHARED if lock.scope == SHARED else "vsys"),
        element("name", lock.scope),
        element("created", when),
        element("last-activity", when),
        element("loggedin", "yes"),
        element("comment", lock.comment or "(null)"),
        name=lock.admin,
    )
