"""Near misses: a value of the identity provider that means nobody, and the entity that it was probably meant for.

The door compares exactly, and does so for good: a guess there would be somebody else's rights. Here the comparison is
loosened step by step, only to tell a person what to look at. Whatever is found is a suggestion with its reason; those
that stand on what a caller may have chosen (a name, an address nobody verified) say so.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final, NamedTuple
from unicodedata import category, normalize

from policy.directory import EMAIL_FIELD, block_of
from policy.facts import KeyField, Person, Team
from policy.table import Table
from policy.table_builder import TableBuilder

NAME_FIELD: Final = "metadata.name"
SHORTEST: Final = 3  # of values that are looked for in other fields: shorter ones say nothing
LONGEST_LIST: Final = 5  # of entities for one value; more than that are no hint


class Near(NamedTuple):
    """``theirs`` is what the claim says, ``ours`` what the entity's field says, "" nothing. ``found_in``: the other
    field that agrees; ``shown``: with what, where that is not ``theirs``."""

    ref: str
    why: str
    claim: str
    field: str
    theirs: str
    ours: str
    found_in: str = ""
    shown: str = ""


class Words(NamedTuple):
    sentence: str
    todo: str


_WORDS: Final[Mapping[str, Words]] = {
    "case": Words(
        "`{claim}` says `{theirs}`, `{field}` of `{ref}` says `{ours}`: they differ in case alone",
        "write `{theirs}` into `{field}`",
    ),
    "space": Words(
        "`{field}` of `{ref}` and `{claim}` differ in spaces around `{bare}` alone",
        "write `{theirs}` into `{field}`, without anything around it",
    ),
    "form": Words(
        "`{claim}` says `{theirs}`, `{field}` of `{ref}` says `{ours}`: they look alike and are other characters",
        "copy `{theirs}` from the identity provider into `{field}`",
    ),
    "unverified": Words(
        "the address `{theirs}` is that of `{ref}`, and the provider does not say that it verified it",
        "have the provider verify it, or match by an id that never changes; anybody can type an address",
    ),
    "foreign_domain": Words(
        "the address `{theirs}` is that of `{ref}`, and its domain is not in `domains`",
        "add the domain to `domains` of `match.{claim}`, if this issuer alone gives out its addresses",
    ),
    "not_ascii": Words(
        "the address `{theirs}` looks like that of `{ref}`, and has letters beyond ASCII",
        "match by an id that never changes: such addresses can be look-alikes and are never believed",
    ),
    "elsewhere": Words(
        "`{claim}` says `{theirs}`, which is `{found_in}` of `{ref}`; `{field}` is what is compared",
        "write `{theirs}` into `{field}` of `{ref}`",
    ),
    "same_email": Words(
        "the verified address `{shown}` is that of `{ref}`, whose `{field}` {state}",
        "if it is the same person, write `{theirs}` into `{field}` of `{ref}`",
    ),
    "same_name": Words(
        "the user name `{shown}` is like the name of `{ref}`, whose `{field}` {state}",
        "make sure that it is the same person, then write `{theirs}` into `{field}` of `{ref}`",
    ),
}  # fmt: skip
REASONS: Final = tuple(_WORDS)
_MENDED_IN_FIELD: Final = frozenset({"case", "space", "form", "elsewhere", "same_email", "same_name"})
_OF_NAMES: Final = "a name is a ref and stays: match by an annotation in which `{theirs}` can stand"


def words_of(near: Near) -> Words:
    """The miss in one sentence, and what to do about it."""
    state = f"says `{near.ours}`" if near.ours else "is missing"
    said = {**near._asdict(), "bare": near.theirs.strip(), "state": state}
    template = _WORDS[near.why]
    todo = _OF_NAMES if near.field == NAME_FIELD and near.why in _MENDED_IN_FIELD else template.todo
    return Words(template.sentence.format(**said), todo.format(**said))


def loosened(text: str) -> str:
    """The text without case, spaces, invisible characters and forms of letters."""
    plain = normalize("NFKC", text).casefold()
    return "".join(letter for letter in plain if not letter.isspace() and category(letter) not in ("Cf", "Cc"))


class Fields:
    """The fields of people or teams, by what they say."""

    def __init__(self, entities: Mapping[str, Person | Team], rules: Iterable[KeyField]) -> None:
        self.rules = tuple(rules)
        self._entities = entities
        compared = {rule.field for rule in self.rules} | {EMAIL_FIELD, NAME_FIELD}
        self._exactly: dict[tuple[str, str], list[str]] = {}
        self._loosely: dict[tuple[str, str], list[str]] = {}
        self._anywhere: dict[str, list[tuple[str, str]]] = {}
        for ref, entity in sorted(self._entities.items()):
            for field, value in entity.fields.items():
                if field in compared:
                    self._exactly.setdefault((field, key_of(field, value)), []).append(ref)
                    self._loosely.setdefault((field, loosened(value)), []).append(ref)
                if len(value) >= SHORTEST:
                    self._anywhere.setdefault(value, []).append((ref, field))

    def says(self, ref: str, field: str) -> str:
        return self._entities[ref].fields.get(field, "")

    def having(self, field: str, value: str) -> list[str]:
        """Everybody whose field the door would take for the value."""
        return self._exactly.get((field, key_of(field, value)), [])

    def shared(self, ref: str) -> list[str]:
        """Everybody else with a key of this entity."""
        found = {other for rule in self.rules if self.says(ref, rule.field)
                 for other in self.having(rule.field, self.says(ref, rule.field))}  # fmt: skip
        return sorted(found - {ref})

    def near(self, rule: KeyField, value: str, doubt: str = "") -> Iterator[Near]:
        """Who was probably meant by a value of the rule's claim. ``doubt``: why the value is not believed."""
        if doubt:
            for ref in self.having(rule.field, value):
                yield Near(ref, doubt, rule.claim, rule.field, value, self.says(ref, rule.field))
            return
        for ref in self._loosely.get((rule.field, loosened(value)), []):
            ours = self.says(ref, rule.field)
            if key_of(rule.field, ours) != key_of(rule.field, value):
                yield Near(ref, _difference(value, ours), rule.claim, rule.field, value, ours)
        if rule.field == EMAIL_FIELD:  # an address in another field is a note about somebody
            return
        for ref, field in self._anywhere.get(value, []):
            if field != rule.field:
                ours = self.says(ref, rule.field)
                yield Near(ref, "elsewhere", rule.claim, rule.field, value, ours, field)

    def alike(self, rule: KeyField, value: str, why: str, field: str, said: str, shown: str) -> Iterator[Near]:
        """Whose ``field`` is ``said``, which the subject shows beside its id, for a rule that does not match."""
        for ref in self.having(field, said):
            yield Near(ref, why, rule.claim, rule.field, value, self.says(ref, rule.field), field, shown)


def key_of(field: str, value: str) -> str:
    """What the directory compares."""
    return value.casefold() if field == EMAIL_FIELD else value


def table_mended(table: Table, issuer: str, near: Near) -> Table:
    """The table as it were if the claim's value stood in the person's field, and in nobody else's."""
    folded = near.field == EMAIL_FIELD
    value = key_of(near.field, near.theirs)
    name = f"keys/{block_of(value.casefold())}"
    block: dict[Any, dict[str, str]] = dict(table.directory.frames().get(name, {}))
    key = ("person", issuer, near.claim, folded)
    block[key] = {**block.get(key, {}), value: near.ref}
    builder = TableBuilder(table)
    builder.put(name, block)
    return builder.finish()


def best_of(found: Iterable[Near]) -> tuple[Near, ...]:
    """One for each entity, the surest first; none when there are too many to be a hint."""
    first: dict[str, Near] = {}
    for near in sorted(found, key=lambda each: (REASONS.index(each.why), each)):
        first.setdefault(near.ref, near)
    return tuple(first.values()) if len(first) <= LONGEST_LIST else ()


def _difference(theirs: str, ours: str) -> str:
    if theirs.strip() == ours.strip():
        return "space"
    return "case" if theirs.casefold() == ours.casefold() else "form"
