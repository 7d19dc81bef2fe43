"""The next table, out of the one before it: what a published change puts and drops, frame by frame.

Requests go on with the previous table meanwhile, so nothing that it can reach is written to, and all that stays is
shared with it. A door puts ten thousand frames between requests, one in a slice (`gateway.snapshot`): a put must cost
the same however many exposures there are.
"""

from __future__ import annotations

from typing import Any, Final

from policy.directory import KINDS, Directory
from policy.exposure import Exposure
from policy.frames import Frame
from policy.table import Site, Table

# What the mappings that are no exposures hold.
_VALUES: Final = {"people": tuple, "keys": dict, "teams": tuple, "workloads": str, "roles": frozenset}


class TableBuilder:
    """Makes the next table out of the previous one, frame by frame.

    Frames may come in any order; a place that two exposures claim for a moment belongs to the one put last.
    A host's site is copied when it first changes and then edited in place, so that ten thousand exposures on one
    host cost one copy. The previous table stays as it is.
    """

    def __init__(self, previous: Table) -> None:
        self._exposures = dict(previous.exposures)
        self._sites = dict(previous.sites)
        self._own_hosts: set[str] = set()  # whose site is already a copy
        self._directory = previous.directory
        self._people: dict[str, Any] | None = None
        self._roles = previous.roles
        self._in_use = previous.in_use
        self._trees = previous.trees
        self._people_version = previous.people_version

    def put(self, name: str, frame: Frame) -> None:
        """Adds or replaces what the frame holds. Nothing of it need be interned. A frame in a layout that this
        program does not read raises some `ValueError` or `TypeError`; the builder must not be used after."""
        kind, _, rest = name.partition("/")
        if kind in _VALUES and any(type(value) is not _VALUES[kind] for value in frame.values()):
            raise ValueError(f"`{name}` in a layout that this program does not read")
        if kind == "exposure":
            self._withdraw(rest)
            exposure = Exposure(frame)
            self._exposures[rest] = exposure
            self._place(exposure)
        elif kind in KINDS:
            self._people_frames()[name] = frame
        elif kind == "roles":
            self._roles = frame

    def drop(self, name: str) -> None:
        """Takes away what the frame held; an unknown name changes nothing."""
        kind, _, rest = name.partition("/")
        if kind == "exposure":
            self._withdraw(rest)
        elif kind in KINDS:
            self._people_frames().pop(name, None)
        elif kind == "roles":
            self._roles = {}

    def finish(self) -> Table:
        """The table. The builder must not be used after."""
        directory = self._directory if self._people is None else Directory(self._people)
        return Table(
            self._exposures, self._sites, directory, self._roles, self._people_version, self._in_use, self._trees,
            ready=True,
        )  # fmt: skip

    def _withdraw(self, key: str) -> None:
        exposure = self._exposures.pop(key, None)
        if exposure is None:
            return
        place = self._sites.get(exposure.host)
        if isinstance(place, Site):
            site = self._site(exposure.host)
            site.remove(exposure)
            if not site.prefixes:
                del self._sites[exposure.host]
        elif place is exposure:
            del self._sites[exposure.host]

    def _place(self, exposure: Exposure) -> None:
        if not exposure.depth and not isinstance(self._sites.get(exposure.host), Site):
            self._sites[exposure.host] = exposure
        else:
            self._site(exposure.host).add(exposure)

    def _site(self, host: str) -> Site:
        """The host's site, as a copy that this builder may edit."""
        before = self._sites.get(host)
        if isinstance(before, Site) and host in self._own_hosts:
            return before
        site = before.copy() if isinstance(before, Site) else Site({}, ())
        if isinstance(before, Exposure):
            site.add(before)
        self._sites[host] = site
        self._own_hosts.add(host)
        return site

    def _people_frames(self) -> dict[str, Any]:
        if self._people is None:
            self._people = self._directory.frames()
            self._people_version = str(int(self._people_version) + 1)
        return self._people
