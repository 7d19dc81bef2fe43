"""The identity map of one issuer: its subjects beside the Users of the catalog, its groups beside the Groups.

Whom the door finds is asked of the door's own code and handed in; nothing is matched here. What is decided here is into
which class each one falls, each into exactly one, and why. Of a subject: `matched`, `ambiguous` (the door finds two, or
two subjects are one User), `near` (nobody, and somebody was probably meant), `only_there`. Of a User: `matched`,
`ambiguous`, `near`, `only_here`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Final, Literal, NamedTuple

from policy.directory import EMAIL_FIELD
from policy.facts import KeyField, Person, Team
from policy.people.near import NAME_FIELD, Fields, Near, best_of, key_of
from policy.reasons import IDENTITY_AMBIGUOUS

There = Literal["matched", "ambiguous", "near", "only_there"]
Here = Literal["matched", "ambiguous", "near", "only_here"]
THERE: Final[tuple[There, ...]] = ("matched", "ambiguous", "near", "only_there")
HERE: Final[tuple[Here, ...]] = ("matched", "ambiguous", "near", "only_here")


class Subject(NamedTuple):
    """Somebody at the issuer. ``claims``: what the token said, believed or not; ``doubts``: why a claim is not
    believed. ``ref`` and ``refusal``: whom the door finds now. ``groups`` None: not known."""

    name: str
    claims: Mapping[str, str]
    doubts: Mapping[str, str]
    ref: str
    refusal: str
    groups: tuple[str, ...] | None = None
    email_verified: bool = False


class Placed(NamedTuple):
    """A subject or a group of the issuer. ``via``: by which claim and field; ``others``: the entities, or subjects,
    between which it is not clear; ``proposed``: the one entity that mending the near miss would lead to."""

    name: str
    kind: There
    ref: str = ""
    why: str = ""
    via: tuple[tuple[str, str], ...] = ()
    others: tuple[str, ...] = ()
    near: tuple[Near, ...] = ()
    proposed: str = ""


class Listed(NamedTuple):
    """A User or Group of the catalog. ``names``: the subjects or groups that are it, or nearly; ``why`` of `only_here`:
    `no_field` (nobody can ever match it) or `not_seen`."""

    ref: str
    kind: Here
    why: str = ""
    names: tuple[str, ...] = ()
    others: tuple[str, ...] = ()


class Compared(NamedTuple):
    there: tuple[Placed, ...]
    here: tuple[Listed, ...]

    def counts(self) -> dict[str, int]:
        """How many of the issuer's fall into each class, and of the catalog's those that the issuer lacks."""
        found = Counter[str](each.kind for each in self.there)
        return {**{kind: found[kind] for kind in THERE}, "only_here": len(self.only_here)}

    @property
    def only_here(self) -> list[Listed]:
        return [each for each in self.here if each.kind == "only_here"]

    @property
    def differs(self) -> bool:
        return any(each.kind != "matched" for each in self.there) or any(each.kind != "matched" for each in self.here)


def compare_people(people: Mapping[str, Person], rules: Sequence[KeyField], subjects: Iterable[Subject]) -> Compared:
    """``rules``: the issuer's, for people."""
    fields = Fields(people, rules)
    everyone = sorted(subjects, key=lambda each: each.name)
    by_ref: dict[str, list[str]] = {}
    for subject in everyone:
        if subject.ref:
            by_ref.setdefault(subject.ref, []).append(subject.name)
    placed = [_placed(subject, fields, by_ref) for subject in everyone]
    said = Counter(
        (rule.claim, key_of(rule.field, subject.claims[rule.claim]))
        for rule in fields.rules
        for subject in everyone
        if rule.claim in subject.claims
    )
    return _compared(placed, people, fields, by_ref, said)


def compare_groups(
    teams: Mapping[str, Team], rules: Sequence[KeyField], found: Mapping[str, tuple[str, bool]]
) -> Compared:
    """``found``: each group of the issuer with the team that the door finds, and whether it finds two."""
    fields = Fields(teams, rules)
    placed = [_group(name, ref, two, fields) for name, (ref, two) in sorted(found.items())]
    by_ref: dict[str, list[str]] = {}
    for each in placed:
        if each.kind == "matched":
            by_ref.setdefault(each.ref, []).append(each.name)
    return _compared(placed, teams, fields, by_ref, {})


# === there ===


def _placed(subject: Subject, fields: Fields, by_ref: Mapping[str, list[str]]) -> Placed:
    via = tuple(
        (rule.claim, rule.field)
        for rule in fields.rules
        if _is_said(rule, subject) and fields.having(rule.field, subject.claims[rule.claim])
    )
    if subject.ref:
        others = tuple(name for name in by_ref[subject.ref] if name != subject.name)
        if others:
            return Placed(subject.name, "ambiguous", subject.ref, "two_subjects", via, others)
        return Placed(subject.name, "matched", subject.ref, via=via)
    if subject.refusal == IDENTITY_AMBIGUOUS:
        return _between(subject, fields, via)
    near = best_of(
        each
        for rule in fields.rules
        if (value := subject.claims.get(rule.claim, ""))
        for each in (*fields.near(rule, value, subject.doubts.get(rule.claim, "")), *_alike(subject, rule, fields))
    )
    if near:
        return Placed(subject.name, "near", why=near[0].why, near=near)
    said = any(rule.claim in subject.claims for rule in fields.rules)
    return Placed(subject.name, "only_there", why="nobody" if said else "no_claim")


def _is_said(rule: KeyField, subject: Subject) -> bool:
    return rule.claim in subject.claims and rule.claim not in subject.doubts


def _between(subject: Subject, fields: Fields, via: tuple[tuple[str, str], ...]) -> Placed:
    meant = [fields.having(field, subject.claims[claim]) for claim, field in via]
    why = "two_users" if any(len(refs) > 1 for refs in meant) else "two_claims"
    others = tuple(sorted({ref for refs in meant for ref in refs}))
    return Placed(subject.name, "ambiguous", "", why, via, others)


def _alike(subject: Subject, rule: KeyField, fields: Fields) -> Iterable[Near]:
    """Others who share what the token shows beside its id. An address that nobody verified is anybody's."""
    value, email = subject.claims[rule.claim], subject.claims.get("email", "")
    if rule.field == EMAIL_FIELD:
        return
    if email and subject.email_verified:
        yield from fields.alike(rule, value, "same_email", EMAIL_FIELD, email, email)
    shown = subject.claims.get("preferred_username", "")
    if name := shown.partition("@")[0].lower():
        yield from fields.alike(rule, value, "same_name", NAME_FIELD, name, shown)


def _group(name: str, ref: str, two: bool, fields: Fields) -> Placed:
    via = tuple((rule.claim, rule.field) for rule in fields.rules if fields.having(rule.field, name))
    if ref:
        return Placed(name, "matched", ref, via=via)
    if two:
        others = sorted({each for _, field in via for each in fields.having(field, name)})
        return Placed(name, "ambiguous", "", "two_groups", via, tuple(others))
    near = best_of(each for rule in fields.rules for each in fields.near(rule, name))
    if near:
        return Placed(name, "near", why=near[0].why, near=near)
    return Placed(name, "only_there", why="nobody")


# === here ===


def _compared(
    placed: list[Placed],
    entities: Mapping[str, Person | Team],
    fields: Fields,
    by_ref: Mapping[str, list[str]],
    said: Mapping[tuple[str, str], int],
) -> Compared:
    """``said``: how many say a claim's value; mending for one of several would mend for all of them."""
    hinted: dict[str, list[str]] = {}
    for each in placed:
        for near in each.near:
            hinted.setdefault(near.ref, []).append(each.name)
    two = {each.ref for each in placed if each.why == "two_subjects"}
    there = tuple(_with_proposal(each, by_ref, hinted, said) for each in placed)
    here = tuple(_listed(ref, fields, by_ref, hinted, two) for ref in sorted(entities))
    return Compared(there, here)


def _with_proposal(
    placed: Placed,
    by_ref: Mapping[str, list[str]],
    hinted: Mapping[str, list[str]],
    said: Mapping[tuple[str, str], int],
) -> Placed:
    """A proposal only where it is clear: one entity, which nobody else is, nor nearly is, nor would be by it."""
    if placed.kind != "near" or len(placed.near) != 1:
        return placed
    (near,) = placed.near
    alone = said.get((near.claim, key_of(near.field, near.theirs)), 0) <= 1
    clear = alone and near.ref not in by_ref and hinted[near.ref] == [placed.name]
    return placed._replace(proposed=near.ref) if clear else placed


def _listed(
    ref: str, fields: Fields, by_ref: Mapping[str, list[str]], hinted: Mapping[str, list[str]], two: set[str]
) -> Listed:
    names, others = tuple(by_ref.get(ref, ())), tuple(fields.shared(ref))
    if names:
        return Listed(ref, "ambiguous" if ref in two else "matched", "two_subjects" if ref in two else "", names)
    if others:
        return Listed(ref, "ambiguous", "same_key", (), others)
    if ref in hinted:
        return Listed(ref, "near", "", tuple(hinted[ref]))
    has_key = any(key_of(rule.field, fields.says(ref, rule.field)) for rule in fields.rules)
    return Listed(ref, "only_here", "not_seen" if has_key else "no_field")
