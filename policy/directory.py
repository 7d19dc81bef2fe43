"""Who a token's claims mean, and which subjects they carry: the frames and the look-ups.

Look-ups happen once per token and people version, never per request, so what is stored is small (direct teams,
parents) and closures are computed when asked for; those of the people who were asked for lately are remembered,
because a person brings a new token every few minutes. People and key values come in 256 blocks by a hash of the
ref or value: a change of one person changes two small frames.

Two entities under one key mean neither. A workload whose client id holds in some environments only is named
``component:default/x@prod`` (several: ``@dev+staging``), and so are its subjects: no rule of another environment
means it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from hashlib import blake2b
from typing import Any, Final, Literal

from policy.facts import ALL_PEOPLE, ALL_WORKLOADS, EVERYONE, Catalog, KeyField, Service
from policy.rule import names_of

AMBIGUOUS: Final = "ambiguous"  # never a ref: refs contain a colon
EMAIL_FIELD: Final = "spec.profile.email"  # compared without regard to case
KINDS: Final = frozenset({"people", "keys", "teams", "workloads"})

Kind = Literal["person", "team"]
Key = tuple[Kind, str, str, bool]  # kind, issuer, claim, folded
KeyBlock = dict[Key, dict[str, str]]  # value -> ref or AMBIGUOUS
PeopleBlock = dict[str, tuple[str, ...]]  # person -> direct teams

REMEMBERED: Final = 4096  # people and workloads whose subjects are kept; starts afresh when it is full


def block_of(text: str) -> str:
    """The block of a ref, or of a case-folded value: two hexadecimal digits."""
    return blake2b(text.encode(), digest_size=1).hexdigest()


def directory_frames(catalog: Catalog, key_fields: Iterable[KeyField], environments: tuple[str, ...]) -> dict[str, Any]:
    """``people/XX``, ``keys/XX``, ``teams`` and ``workloads``."""
    people: dict[str, PeopleBlock] = {}
    for ref, person in sorted(catalog.people.items()):
        teams = tuple(sorted(team for team in set(person.member_of) if team in catalog.teams))
        people.setdefault(f"people/{block_of(ref)}", {})[ref] = teams
    teams_frame = {
        ref: tuple(sorted(parent for parent in set(team.parents) if parent in catalog.teams))
        for ref, team in sorted(catalog.teams.items())
    }
    workloads = _workloads(catalog.services.values(), environments)
    return {**people, **_key_blocks(catalog, key_fields), "teams": teams_frame, "workloads": workloads}


def _key_blocks(catalog: Catalog, key_fields: Iterable[KeyField]) -> dict[str, KeyBlock]:
    found: dict[tuple[Key, str], set[str]] = {}
    for key_field in set(key_fields):
        folded = key_field.field == EMAIL_FIELD
        key: Key = (key_field.kind, key_field.issuer, key_field.claim, folded)
        entities = catalog.people if key_field.kind == "person" else catalog.teams
        for ref, entity in entities.items():
            value = entity.fields.get(key_field.field, "")
            if value:
                found.setdefault((key, value.casefold() if folded else value), set()).add(ref)
    blocks: dict[str, KeyBlock] = {}
    for (key, value), refs in sorted(found.items()):
        block = blocks.setdefault(f"keys/{block_of(value.casefold())}", {})
        block.setdefault(key, {})[value] = refs.pop() if len(refs) == 1 else AMBIGUOUS
    return blocks


def _workloads(services: Iterable[Service], environments: tuple[str, ...]) -> dict[str, str]:
    """Client id to the name of the workload."""
    holders: dict[str, dict[str, set[str]]] = {}
    for service in services:
        overridden = set(service.client_ids) - {""}
        for environment in environments if overridden else ("",):
            client_id = service.client_ids.get(environment, service.client_ids.get(""))
            if client_id:
                holders.setdefault(client_id, {}).setdefault(service.ref, set()).add(environment)
    found = {}
    for client_id, refs in sorted(holders.items()):
        ref, valid_in = next(iter(refs.items()))
        everywhere = "" in valid_in or valid_in == set(environments)
        name = ref if everywhere else f"{ref}@{'+'.join(sorted(valid_in))}"
        found[client_id] = name if len(refs) == 1 else AMBIGUOUS
    return found


class Directory:
    """The look-ups over the frames, which never change once it is built."""

    __slots__ = ("_above", "_frames", "_names", "_subjects")

    def __init__(self, frames: Mapping[str, Any]) -> None:
        self._frames = frames
        self._names = frozenset(frames.get("workloads", {}).values())
        self._subjects: dict[str, frozenset[str]] = {}
        self._above: dict[str, frozenset[str]] = {}

    def frames(self) -> dict[str, Any]:
        """A copy to build the next directory from."""
        return dict(self._frames)

    def find(self, kind: Kind, issuer: str, claim: str, value: str) -> str | None:
        """The one entity that the claim's value means, None, or AMBIGUOUS."""
        folded = value.casefold()
        block: KeyBlock = self._frames.get(f"keys/{block_of(folded)}", {})
        exactly = block.get((kind, issuer, claim, False), {}).get(value)
        by_email = block.get((kind, issuer, claim, True), {}).get(folded)
        if exactly is not None and by_email is not None and exactly != by_email:
            return AMBIGUOUS
        return exactly if exactly is not None else by_email

    def workload(self, client_id: str) -> str | None:
        found: str | None = self._frames.get("workloads", {}).get(client_id)
        return found

    def subjects_of(self, ref: str) -> frozenset[str]:
        """Everything a rule may call this person or workload; nothing when it is unknown."""
        known = self._subjects.get(ref)
        if known is None:
            known = self._found(ref)
            if known:
                if len(self._subjects) >= REMEMBERED:
                    self._subjects.clear()
                self._subjects[ref] = known
        return known

    def _found(self, ref: str) -> frozenset[str]:
        block: PeopleBlock = self._frames.get(f"people/{block_of(ref)}", {})
        teams = block.get(ref)
        if teams is not None:
            return frozenset({ref, ALL_PEOPLE, EVERYONE}).union(*[self.team_subjects(team) for team in teams])
        if ref in self._names and ref != AMBIGUOUS:
            component, _, environments = ref.partition("@")
            plain = (component, ALL_WORKLOADS, EVERYONE)
            if not environments:
                return frozenset(plain)
            return frozenset([names_of(each, name)[1] for each in plain for name in environments.split("+")])
        return frozenset()

    def team_subjects(self, ref: str) -> frozenset[str]:
        """The team and all teams above it; a circle of parents ends where it began."""
        above = self._above.get(ref)
        if above is not None:
            return above
        parents: dict[str, tuple[str, ...]] = self._frames.get("teams", {})
        found: set[str] = set()
        waiting = [ref]
        while waiting:
            team = waiting.pop()
            if team in parents and team not in found:
                found.add(team)
                waiting += parents[team]
        above = frozenset(found)
        if above:
            self._above[ref] = above
        return above
