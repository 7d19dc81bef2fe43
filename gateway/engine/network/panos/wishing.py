"""What one firewall is to be told of people and addresses, made of all that the engine knows: one value, no clock.

Nothing is wished for on doubt: before the overlay was heard nobody knows who is cut off, and before a name was asked
for, where a service runs. What does not fit, or may not be written, is left out and said, so that less is open and
never more.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from gateway.config.devices import Panos, PanosEnvironment
from gateway.engine.network.desired import Desired
from gateway.engine.network.fronts import Front, some
from gateway.engine.network.panos import names
from gateway.engine.network.panos.addresses import AddressTags, Barred, Tagged, Tags
from gateway.engine.network.panos.meeting import Meeting
from gateway.engine.network.panos.membership import Membership
from gateway.engine.network.panos.people import MOST_TAGS, People
from gateway.engine.network.whereabouts import NOTHING_KNOWN, Known
from gateway.engine.overheard import Overlay
from policy.coarse import Scope
from policy.directory import Directory
from policy.facts import Catalog


@dataclass(frozen=True)
class Facts:
    """``desired``, ``fronts`` (of all devices that meet clients) and ``known`` are by environment. ``met``: doors and
    virtual addresses on all firewalls."""

    version: str  # the base id that the doors serve
    desired: Mapping[str, Desired]
    fronts: Mapping[str, Sequence[Front]]
    known: Mapping[str, Known]
    catalog: Catalog
    directory: Directory
    overlay: Overlay | None
    met: tuple[str, ...] = ()


class Wishing:
    """For one firewall, again and again; its memory changes nothing of what comes out but that a cut is told of names
    that the catalog has forgotten, too. Blocks: for a thread."""

    def __init__(self, device: Panos) -> None:
        self._environments = device.environments
        self._people = People(device.user_name)
        self._addresses = {each.environment: AddressTags(each) for each in device.environments}
        self._placed: tuple[object, Tagged] = (None, Tagged({}, {}))  # made of what, what came of it

    def membership(self, facts: Facts, now: int) -> Membership | None:
        """``now`` in epoch seconds. None: too little is known to tell a firewall anything."""
        here = [each for each in self._environments if each.environment in facts.desired]
        if facts.overlay is None or len(here) < len(self._environments):
            return None
        if not all(facts.known.get(each.environment, NOTHING_KNOWN).is_settled for each in here if each.networks):
            return None
        placed = self._tagged_addresses(facts, facts.overlay.shut)
        scopes = _with_users(here, facts)
        people = self._people.tags(scopes, facts.catalog, facts.directory, facts.overlay, now)
        remarks = (*people.remarks, *placed.remarks)
        return Membership(
            facts.version, placed.tags, people.users, people.timed, people.cut, remarks, placed.shut
        )  # fmt: skip

    def _tagged_addresses(self, facts: Facts, shut: frozenset[str]) -> Tagged:
        """The very same objects as before while nothing that they are made of is another."""
        made_of = facts.desired, facts.known, facts.fronts, facts.met, shut
        if made_of != self._placed[0]:
            self._placed = made_of, self._place(facts, shut)
        return self._placed[1]

    def _place(self, facts: Facts, shut: frozenset[str]) -> Tagged:
        here = self._environments
        fronts_here = (front.address for each in here for front in facts.fronts.get(each.environment, ()))
        barred = Barred((*met_on(here), *facts.met, *fronts_here))
        parts: list[Tagged] = []
        for each in here:
            name = each.environment
            desired, fronts = facts.desired[name], facts.fronts.get(name, ())
            meeting = Meeting.of(desired.scopes, fronts, each.virtual_addresses)
            known = facts.known.get(name, NOTHING_KNOWN)
            parts.append(self._addresses[name].tags(desired, known, meeting, barred, shut))
        remarks = [remark for part in parts for remark in part.remarks]
        joined, lost = _joined([part.tags for part in parts]), _joined([part.shut for part in parts])
        if crowded := sorted(address for address, tags in joined.items() if len(tags) > MOST_TAGS):
            what = f"{len(crowded)} addresses have services of more systems than the {MOST_TAGS} tags that PAN-OS takes"
            remarks.append(f"{what}; the rest is left out: {some(crowded)}")
        taken = {address: tags - joined[address] for address, tags in lost.items() if tags - joined[address]}
        doors_first = sorted(joined, key=lambda address: address not in barred)  # a table may be full before its end
        return Tagged({address: _fitting(joined[address]) for address in doors_first}, taken, tuple(remarks))


def turn_after(overlay: Overlay | None, now: int) -> int | None:
    """When temporary access begins or ends next: then the same facts make another membership."""
    turns = (turn for grant in (overlay.grants if overlay else ()) for turn in (grant.starts, grant.ends))
    return min((turn for turn in turns if turn > now), default=None)


def _with_users(here: Iterable[PanosEnvironment], facts: Facts) -> Iterator[Scope]:
    """Those of environments where some rule asks who comes. What is open to anyone is, past the door, open to whoever
    the catalog knows."""
    for each in here:
        if each.tells(each.front) or each.tells(each.direct):
            for scope in facts.desired[each.environment].scopes:
                is_known = scope.anyone and each.tells(each.direct)
                yield replace(scope, everyone=True) if is_known else scope


def met_on(environments: Iterable[PanosEnvironment]) -> Iterator[str]:
    """Doors and virtual addresses: no service's, whoever says so."""
    return (text for each in environments for text in (*each.doors, *each.virtual_addresses))


def _joined(parts: Sequence[Tags]) -> Tags:
    found: dict[str, frozenset[str]] = {}
    for tags in parts:
        for address, these in tags.items():
            found[address] = found[address] | these if address in found else these
    return found


def _fitting(tags: frozenset[str]) -> frozenset[str]:
    """The environment's goes first, because it closes; those of domains, which no rule of ours asks for, last."""
    if len(tags) <= MOST_TAGS:
        return tags
    ranks = {names.kind_of(names.environment_tag("")): 0, names.kind_of(names.domain_tag("", "")): 2}
    return frozenset(sorted(tags, key=lambda tag: (ranks.get(names.kind_of(tag), 1), tag))[:MOST_TAGS])
