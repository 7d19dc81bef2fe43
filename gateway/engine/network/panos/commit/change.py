"""A change as it goes over the wire, and what it needs: values between who writes rules and who commits them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, Protocol

from gateway.engine.network.panos.device.client import Client
from gateway.engine.network.panos.device.locks import Pending
from gateway.engine.network.panos.device.places import touching
from gateway.engine.network.panos.device.writes import Edit

__all__ = ["Change", "Comment", "Edit", "Owned", "of_others"]


class Comment(NamedTuple):
    """An audit comment: at most 256 characters, on the rule that ``xpath`` names."""

    xpath: str
    text: str


@dataclass(frozen=True, slots=True)
class Change:
    """``edits``: in an order in which each finds what it refers to. ``ours``: xpaths of everything of ours, before and
    after, and of the anchors. The rest is what must exist on the device, or on every one of a group."""

    edits: tuple[Edit, ...]
    comments: tuple[Comment, ...] = ()
    ours: tuple[str, ...] = ()
    zones: frozenset[str] = frozenset()
    log_settings: frozenset[str] = frozenset()
    profile_groups: frozenset[str] = frozenset()

    @property
    def reorders(self) -> bool:
        """Whether rules get another order than by going at the end."""
        return any(
            edit.action == "move" or (edit.action == "delete" and "/rules/" in edit.xpath) for edit in self.edits
        )


class Owned(Protocol):
    """What is ours of one environment on one device."""

    async def read(self, client: Client, of: Literal["candidate", "running"]) -> Any:
        """Content, equal to what was written where that is what is there. Raises `DeviceFault`."""
        ...

    def change(self, before: Any, after: Any) -> Change:
        """Pure. The other way round it undoes."""
        ...


def of_others(pending: Iterable[Pending], ours: Iterable[str], me: str) -> tuple[Pending, ...]:
    """Edits of other administrators on what is ours."""
    theirs = [each for each in pending if each.owner != me]
    is_ours = touching(tuple(ours) if theirs else ())
    return tuple(each for each in theirs if is_ours(each.xpath))
