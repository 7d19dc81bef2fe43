"""Steps for the data groups: which host belongs to which component and team, and which policy the doors serve."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from gateway.engine.network.bigip.answers import LONGEST
from gateway.engine.network.bigip.phrases import clean, count, owner_of, word_of
from gateway.engine.network.bigip.records import Record, record_of, records_in
from gateway.engine.network.plan import Kind, Step

TOLD_ALONE: Final = 3  # places whose rules alone changed; more of them are one step
_USUAL: Final = {"class": "Data_Group", "keyDataType": "string"}


def host_steps(path: str, environment: str, old: object, new: object) -> Iterator[Step]:
    """``path``: of the data group; ``old`` and ``new``: as declared, None for none."""
    before = {place: record_of(value) for place, value in records_in(old).items()}
    after = {place: record_of(value) for place, value in records_in(new).items()}
    if not isinstance(new, dict):
        yield _group_step(path, environment, before)
    elif not isinstance(old, dict):
        said = f"Makes the list `{path}` of the hosts of {environment}."
        yield Step(Kind.ADD, path, said, after={"class": "Data_Group"})
    yield from _form_steps(path, old, new)
    remaining = {record.entity for record in after.values()}
    known = {record.entity for record in before.values()}
    for place in before.keys() - after.keys():
        yield _removal(path, environment, place, before[place], last=before[place].entity not in remaining)
    for place in after.keys() - before.keys():
        yield _addition(path, environment, place, after[place], first=after[place].entity not in known)
    both = [place for place in sorted(before.keys() & after.keys()) if before[place] != after[place]]
    quiet = [place for place in both if before[place][:2] == after[place][:2]]
    for place in both:
        if before[place][:2] != after[place][:2]:
            yield _hand_over(path, environment, place, before[place], after[place])
    yield from _new_rules(path, quiet, before, after)


def _group_step(path: str, environment: str, before: Mapping[str, Record]) -> Step:
    caution = "nothing on the device says any more which host is whose" if before else ""
    return Step(Kind.REMOVE, path, f"Removes the list `{path}` of the hosts of {environment}.", caution=caution)


def _removal(path: str, environment: str, place: str, record: Record, *, last: bool) -> Step:
    what = f"Removes {_told(place)} (`{_told(record.entity)}` of {owner_of(record.owner)}) from {environment}"
    then = "with it the service leaves the environment" if last else "the service keeps its other places"
    return Step(
        Kind.REMOVE, f"{path} {place}", f"{what}: {then}, and callers of {_told(place)} find nothing there.",
        (record.entity,), (host_of(place),), before=_said(record),
    )  # fmt: skip


def _addition(path: str, environment: str, place: str, record: Record, *, first: bool) -> Step:
    what = f"Adds {_told(place)} (`{_told(record.entity)}` of {owner_of(record.owner)}) to {environment}"
    then = "the service is new there" if first else "the service has other places there already"
    return Step(
        Kind.ADD, f"{path} {place}", f"{what}: {then}, and nobody is cut off.", (record.entity,), (host_of(place),),
        after=_said(record),
    )  # fmt: skip


def _hand_over(path: str, environment: str, place: str, old: Record, new: Record) -> Step:
    if old.entity != new.entity:
        what = f"Hands {_told(place)} in {environment} from `{_told(old.entity)}` to `{_told(new.entity)}`"
        moved = f", and from {owner_of(old.owner)} to {owner_of(new.owner)}" if old.owner != new.owner else ""
        sentence = f"{what}{moved}: its callers reach another service."
        caution = "another service answers under this host"
    else:
        what = f"Moves {_told(place)} (`{_told(new.entity)}`) in {environment}"
        sentence = f"{what} from {owner_of(old.owner)} to {owner_of(new.owner)}: its callers notice nothing."
        caution = ""
    if old.owner != new.owner:
        another = "another team decides" if new.owner else "nobody decides any more"
        caution = f"{caution + '; ' if caution else ''}{another} who may come"
    entities = tuple(dict.fromkeys((old.entity, new.entity)))
    return Step(
        Kind.CHANGE, f"{path} {place}", sentence, entities, (host_of(place),), _said(old), _said(new), caution
    )  # fmt: skip


def _new_rules(
    path: str, places: list[str], before: Mapping[str, Record], after: Mapping[str, Record]
) -> Iterator[Step]:
    """What BIG-IP does with those places stays as it is."""
    if len(places) > TOLD_ALONE:
        entities = tuple(sorted({after[place].entity for place in places}))
        told = ", ".join(f"`{_told(place)}`" for place in places[:TOLD_ALONE])
        rest = f"{told} and {len(places) - TOLD_ALONE} more: where requests go stays as it is."
        said = f"Notes new rules of {count(len(places), 'place')}, {rest}"
        old = {place: before[place].version for place in places}
        new = {place: after[place].version for place in places}
        yield Step(Kind.CHANGE, path, said, entities, tuple(sorted(set(map(host_of, places)))), old, new)
        return
    for place in places:
        entity = after[place].entity
        said = f"Notes new rules of {_told(place)} (`{_told(entity)}`): where requests go stays as it is."
        pair = (before[place].version, after[place].version)
        yield Step(Kind.CHANGE, f"{path} {place}", said, (entity,), (host_of(place),), *pair)


def _form_steps(path: str, old: object, new: object) -> Iterator[Step]:
    """What a data group says beside its records: that they lie elsewhere, or are not to be set."""
    if not isinstance(new, dict):
        return
    was = old if isinstance(old, dict) else _USUAL
    for key in sorted((was.keys() | new.keys()) - {"records", "label", "remark"}):
        if was.get(key) != new.get(key):
            said = f"Changes `{key}` of the list `{path}` from {word_of(was.get(key))} to {word_of(new.get(key))}."
            caution = "what it holds on the device need not be what is declared"
            yield Step(Kind.CHANGE, f"{path} {key}", said, before=was.get(key), after=new.get(key), caution=caution)


def policy_steps(path: str, environment: str, old: object, new: object) -> Iterator[Step]:
    yield from _form_steps(path, old, new)
    before, after = records_in(old), records_in(new)
    if not isinstance(new, dict):
        caution = "nothing on the device says any more which policy it was made for"
        yield Step(Kind.REMOVE, path, f"Removes `{path}`, the note of the policy version.", caution=caution)
    for own in sorted(before.keys() | after.keys()):
        was, becomes = before.get(own, ""), after.get(own, "")
        if was == becomes or not isinstance(new, dict):
            continue
        kind = Kind.ADD if own not in before else Kind.CHANGE if own in after else Kind.REMOVE
        told = f"`{_told(becomes)}`" if becomes else "nothing"
        instead = f" instead of `{_told(was)}`" if was else ""
        said = f"Notes policy version {told}{instead} for {_told(own)}: requests go where they went."
        caution = "" if own == environment else f"this tenant is {environment}'s"
        yield Step(kind, f"{path} {own}", said, before=was or None, after=becomes or None, caution=caution)


def host_of(place: str) -> str:
    return place.partition("/")[0]


def _told(text: str) -> str:
    """A host or a ref whole: it is the name that is reviewed, whatever it looks like."""
    return clean(text, LONGEST)


def _said(record: Record) -> dict[str, Any]:
    return record._asdict()
