"""What a door decides from: the base and the overlay as one value, which a request reads once.

On the list of hot files: every request reads most of it.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING

from policy.table import Table

if TYPE_CHECKING:
    from gateway.identity.jwks import KeyRing


class Snapshot:
    """One immutable view: base (table) and overlay (issuers' keys, and who or what is cut off). A request reads it
    once."""

    __slots__ = ("base", "denied", "keys", "not_before", "seq", "shut", "table", "version")

    def __init__(
        self,
        table: Table,
        base: str,
        keys: KeyRing,
        seq: int = 0,
        denied: frozenset[str] = frozenset(),
        not_before: Mapping[str, int] = MappingProxyType({}),
        shut: frozenset[str] = frozenset(),
    ) -> None:
        self.table = table
        self.base = base
        self.keys = keys
        self.seq = seq
        self.denied = denied
        self.not_before = not_before  # subject ref → epoch seconds; tokens and sign-ins from before are refused
        self.shut = shut  # refs of services, `@` and names of environments: nobody comes there
        self.version = f"{base}.{seq}"  # named by every audit record this snapshot decides

    @classmethod
    def allow_none(cls, keys: KeyRing) -> Snapshot:
        """Before the first base: whatever is asked, the answer is no."""
        return cls(Table.allow_none(), "", keys)

    def replaced(
        self,
        *,
        table: Table | None = None,
        base: str | None = None,
        keys: KeyRing | None = None,
        seq: int | None = None,
        denied: frozenset[str] | None = None,
        not_before: Mapping[str, int] | None = None,
        shut: frozenset[str] | None = None,
    ) -> Snapshot:
        return Snapshot(
            self.table if table is None else table,
            self.base if base is None else base,
            self.keys if keys is None else keys,
            self.seq if seq is None else seq,
            self.denied if denied is None else denied,
            self.not_before if not_before is None else not_before,
            self.shut if shut is None else shut,
        )
