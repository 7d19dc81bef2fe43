"""The compiled table: which exposure a request belongs to, and whether the principal may. HOT.

``match`` and ``decide`` run once per request. Everything they need was prepared when the frames were compiled:
they only follow tuples and dicts. ``decide`` answers the plain permit itself and leaves every other case to the
careful way in ``policy.exposure``; both are held against ``policy.reference`` by a property test.

On one core of the development machine (Python 3.11, 20 operations a service, four rules an operation): ``match``
0.14 us; ``match`` and ``decide`` together 0.7 us for an owner, 0.85 us for a bounded token with scopes, the same at 100
and at 10,000 services; the careful way 5 to 15 us. Ten thousand services take 25 to 35 MB, each one in use 8 KB
more, 64 MB at most. A put takes 0.02 ms, ``finish`` 0.1 ms. ``tests/unit/policy/test_table.py`` holds the memory, and
under the mark `bench` the time.

A table never changes. The next one is made out of it by ``policy.table_builder``, and shares what stays.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from typing import Final, final

from policy.directory import AMBIGUOUS, Directory
from policy.exposure import Exposure, RoleScopes, crowd_of, holds_one
from policy.facts import UNSEEN, Circumstances, Permit, Principal, Refusal
from policy.frames import LeafFrame, Rules, Trees, with_shared_tree
from policy.paths import Segments
from policy.reasons import HOST_UNKNOWN
from policy.requirements import all_met

__all__ = ["AMBIGUOUS", "Exposure", "Match", "Table"]

#: Exposures whose rules are kept open: 8 KB each with twenty operations, and 6 us to open them again.
IN_USE: Final = 8192
_UNKNOWN: Final = Refusal(HOST_UNKNOWN)
_NOWHERE: Final = Exposure.nowhere()
# -- shortcut: Permit(…) says the same and costs 0.1 us more (test_table.py, mark `bench`)
_tuple_new: Final = tuple.__new__
# -- end of shortcut


@final
class Match:
    """A request's exposure and its whole path."""

    __slots__ = ("exposure", "segments")

    def __init__(self, exposure: Exposure, segments: Segments) -> None:
        self.exposure = exposure
        self.segments = segments


class Site:
    """The exposures of a host that does not have just one, at ``/``: by prefix, and the prefixes' lengths, longest
    first."""

    __slots__ = ("depths", "prefixes")

    def __init__(self, prefixes: dict[Segments, Exposure], depths: tuple[int, ...]) -> None:
        self.prefixes = prefixes
        self.depths = depths

    def copy(self) -> Site:
        return Site(dict(self.prefixes), self.depths)

    def add(self, exposure: Exposure) -> None:
        self.prefixes[exposure.prefix_segments] = exposure
        if exposure.depth not in self.depths:
            self.depths = tuple(sorted((*self.depths, exposure.depth), reverse=True))

    def remove(self, exposure: Exposure) -> None:
        """Unless another exposure took the place meanwhile."""
        if self.prefixes.get(exposure.prefix_segments) is exposure:
            del self.prefixes[exposure.prefix_segments]
            if all(len(prefix) != exposure.depth for prefix in self.prefixes):
                self.depths = tuple(depth for depth in self.depths if depth != exposure.depth)


Sites = dict[str, Exposure | Site]  # by host; most have one exposure, at `/`


class Table:
    """Who may do what where. Immutable; made by :meth:`allow_none` and by a `TableBuilder`."""

    __slots__ = ("directory", "exposures", "in_use", "people_version", "ready", "roles", "sites", "trees")

    def __init__(
        self,
        exposures: Mapping[str, Exposure],
        sites: Sites,
        directory: Directory,
        roles: RoleScopes,
        people_version: str,
        in_use: deque[Exposure],
        trees: Trees,
        *,
        ready: bool,
    ) -> None:
        self.exposures = exposures  # by key, for those who explain and list
        self.sites = sites
        self.directory = directory
        self.roles = roles
        self.people_version = people_version  # changes when a person, team, workload or key value did
        self.in_use = in_use  # the exposures whose rules are open, oldest first; from one table to the next
        self.trees = trees  # of those, by their digests; likewise
        self.ready = ready

    @classmethod
    def allow_none(cls) -> Table:
        """What is served before the first base: no host is known, so nothing is allowed."""
        return cls({}, {}, Directory({}), {}, "0", deque(), {}, ready=False)

    def match(self, host: str, segments: Segments) -> Match | Refusal:
        """The exposure with the longest prefix of the path. An exact host beats a one-label wildcard.

        A path outside every prefix of a known host matches an exposure on which nobody has any right, so that
        it is refused exactly like a path that exists.
        """
        site = self.sites.get(host)
        if site is None:
            site = self.sites.get("*." + host.partition(".")[2])
            if site is None:
                return _UNKNOWN
        if isinstance(site, Exposure):
            return Match(site, segments)
        for depth in site.depths:
            exposure = site.prefixes.get(segments[:depth])
            if exposure is not None:
                return Match(exposure, segments)
        return Match(_NOWHERE, segments)

    def decide(
        self, match: Match, method: str, principal: Principal, now: int, call: Circumstances = UNSEEN
    ) -> Permit | Refusal:
        """Whether the principal, and every actor for it, may do this now. Where the exposure ``asks_how``, ``call``
        says how the request came; without it those requirements are not met.

        On the way down the tree only one child is ever followed. That is right as long as no other one could
        have a say; as soon as one could, the loop is left and the careful way decides.
        """
        exposure, path = match.exposure, match.segments
        rules = exposure.opened
        if rules is None:
            rules = self._open(exposure)
        if exposure.depth:
            path = path[exposure.depth :]
        subjects, denied = principal.subjects, exposure.denied
        if (
            principal.kind == "anonymous"
            or principal.actors
            or (denied and not denied.isdisjoint(subjects))
            or (principal.client_subjects and not denied.isdisjoint(principal.client_subjects))
        ):
            return self._decide_carefully(match, method, principal, now, call)
        node = rules.tree
        leaf: LeafFrame | None = None
        for text in path:
            literals = node[1]
            if literals is None:
                variable = node[3]
                if variable is None:
                    if not node[4]:  # no variables of any form: only `**` can be here
                        leaf = node[5]
                    break
                if not text:
                    break
                node = variable
                continue
            child = literals.get(text)
            if child is None:
                child = node[3]
                if child is None or not text or "." in text or ";" in text:
                    break
                if text.casefold() in (node[2] or literals):
                    break  # an upstream may take it for the literal sibling: both are asked
            node = child
        else:
            leaf = node[0]
        if leaf is not None and method in leaf[1]:
            template, methods, terms = leaf
            permit_set, scope_set, alone = terms[methods.index(method)]
            needed = rules.scopes[scope_set]
            entries, index = rules.permits[permit_set]
            if index is not None:
                entries = crowd_of(entries, index, subjects)
            for subject, reason, rule, confers, requirements in entries:
                if subject in subjects:
                    if not alone or needed is None:
                        break
                    if (
                        needed
                        and (confers is not None or principal.bounded)
                        and not holds_one(needed, principal.scopes)
                    ):
                        break
                    if requirements and not all_met(requirements, principal, now, call):
                        break
                    return _tuple_new(Permit, (reason, rule, f"{method} {template}"))
        return self._decide_carefully(match, method, principal, now, call)

    def person(self, issuer: str, claim: str, value: str) -> str | None:
        """The one person whom the claim's value means, None, or AMBIGUOUS."""
        return self.directory.find("person", issuer, claim, value)

    def team(self, issuer: str, claim: str, value: str) -> str | None:
        """The one team that the claim's value means, None, or AMBIGUOUS."""
        return self.directory.find("team", issuer, claim, value)

    def workload(self, client_id: str) -> str | None:
        """``component:default/x``, or ``…/x@prod`` when the id holds in ``prod`` only; None; or AMBIGUOUS."""
        return self.directory.workload(client_id)

    def subjects_of(self, ref: str) -> frozenset[str]:
        """The subjects of a person's ref, or of what :meth:`workload` answered; empty when unknown."""
        return self.directory.subjects_of(ref)

    def team_subjects(self, ref: str) -> frozenset[str]:
        """The team and all teams above it; empty when unknown."""
        return self.directory.team_subjects(ref)

    def _open(self, exposure: Exposure) -> Rules:
        """Open the exposure's rules and keep them while it is one of the last IN_USE that were opened."""
        rules = exposure.opened = with_shared_tree(exposure.rules(), self.trees)
        if len(self.trees) > IN_USE:
            self.trees.clear()
        self.in_use.append(exposure)
        if len(self.in_use) > IN_USE:
            self.in_use.popleft().opened = None
        return rules

    def _decide_carefully(
        self, match: Match, method: str, principal: Principal, now: int, call: Circumstances
    ) -> Permit | Refusal:
        path = match.segments[match.exposure.depth :]
        verdict = match.exposure.verdict(path, method, principal, now, self.roles, call)
        for actor in principal.actors:
            if isinstance(verdict, Refusal):
                return verdict
            acting = self._decide_carefully(match, method, actor, now, call)
            if isinstance(acting, Refusal):
                return acting
        return verdict
