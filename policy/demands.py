"""Reads `require`: what people must show in their sign-in, and programs in their token and their call.

The entries of a list are all asked for; several names or networks in one entry are alternatives. A demand that cannot
be read is a fault and never dropped in silence: whoever wrote it meant to narrow.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from datetime import date
from ipaddress import ip_network
from typing import Final

from policy.reading import Path, Reader, did_you_mean
from policy.statements import Requirement

_UNITS: Final = {"s": 1, "m": 60, "h": 3600, "d": 86400}
_ISSUER: Final = re.compile(r"[a-z0-9]([a-z0-9-]{0,30}[a-z0-9])?")
_OF_PROGRAMS: Final = ("issuer", "network", "certificate")


def is_day(text: str) -> bool:
    """Whether it is a day of the calendar, as in `2027-01-31`."""
    try:
        return date.fromisoformat(text).isoformat() == text
    except ValueError:
        return False


class DemandReader(Reader):
    """The part of a document's reader that knows `require` and durations."""

    def filled(self, keys: Mapping[str, object], path: Path, named: Iterable[str]) -> None:
        """An empty value under a key that narrows would widen: it is a slip, never a statement."""
        for key in named:
            if key in keys and keys[key] in (None, [], {}, ""):
                self.fault((*path, key), f"`{key}` is empty", "leave it out, or say what it holds")

    def requirements(self, node: object, path: Path, kind: str) -> list[Requirement]:
        """`require` for one kind: a list of `mfa`, `{fresh: 12h}` (people), `{issuer: NAME}`, `{network: 10.0.0.0/8}`,
        `certificate` (workloads)."""
        found: list[Requirement] = []
        for place, item in self.one_or_many(None if node == {} else node, path):
            if item is None or item == {}:
                self.fault(place, "a requirement is empty", "leave it out, or say what it asks for")
            elif kind == "workloads":
                found += self._of_programs(item, place)
            elif item in _OF_PROGRAMS or (isinstance(item, Mapping) and not {"issuer", "network"}.isdisjoint(item)):
                name = item if isinstance(item, str) else next(iter(item))
                self.fault(place, f"`{name}` is asked of programs", "write it below `workloads`")
            elif isinstance(item, Mapping):
                fresh = self.mapping(item, place, ("fresh",))
                if fresh:
                    found.append(Requirement("person", "fresh", self.duration(fresh["fresh"], (*place, "fresh"))))
            elif self.word(item, place, ("mfa",), ""):
                found.append(Requirement("person", "mfa"))
        return found

    def rule_requirements(self, node: object, path: Path) -> tuple[Requirement, ...]:
        """A rule's own `require`: a plain list means people; a mapping names the kinds."""
        if not isinstance(node, Mapping):
            found = self.requirements(node, path, "people")
        elif "fresh" in node:
            found = self.requirements([node], path, "people")
        else:
            kinds = self.mapping(node, path, ("people", "workloads"))
            self.filled(kinds, path, kinds)
            found = [each for kind, inner in kinds.items() for each in self.requirements(inner, (*path, kind), kind)]
        return tuple(sorted(set(found), key=repr))

    def duration(self, node: object, path: Path) -> int:
        """`30s`, `5m`, `8h`, `2d` in seconds."""
        parts = re.fullmatch(r"([1-9][0-9]{0,6})([smhd])", node) if isinstance(node, str) else None
        if parts is None:
            self.fault(path, f"`{path[-1]}` must be a duration such as `30s`, `5m` or `8h`, not `{node}`")
            return 0
        return int(parts[1]) * _UNITS[parts[2]]

    def _of_programs(self, item: object, place: Path) -> list[Requirement]:
        if item == "certificate":
            return [Requirement("workload", "certificate")]
        if isinstance(item, str):
            hint = "write `{issuer: NAME}`" if item == "issuer" else "write `{network: 10.0.0.0/8}`"
            named = item in ("issuer", "network")
            message = f"`{item}` must say which" if named else f"`{item}` is nothing that can be asked of programs"
            self.fault(place, message, hint if named else did_you_mean(item, _OF_PROGRAMS))
            return []
        keys = self.mapping(item, place, ("issuer", "network"))
        found = []
        for key in keys:
            if keys[key] in ([], None):
                self.fault((*place, key), f"`{key}` is empty", "leave it out, or say what it asks for")
        if "issuer" in keys:
            names = self.texts(keys["issuer"], (*place, "issuer"))
            for name in names:
                if not _ISSUER.fullmatch(name):
                    self.fault((*place, "issuer"), f"`{name}` is no name of an issuer")
            found.append(Requirement("workload", "issuer", ",".join(sorted(set(names)))))
        if "network" in keys:
            texts = self.texts(keys["network"], (*place, "network"))
            networks = {self._network(text, (*place, "network")) for text in texts}
            found.append(Requirement("workload", "network", ",".join(sorted(networks))))
        return found

    def _network(self, text: str, path: Path) -> str:
        try:
            return str(ip_network(text))
        except ValueError:
            self.fault(path, f"`{text}` is no network", "write `10.0.0.0/8`, host bits zero")
            return ""
