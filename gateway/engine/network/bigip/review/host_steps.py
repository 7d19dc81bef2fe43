"""Steps for the data groups: which host belongs to which component and team, and which policy the doors serve."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any, Final

from gateway.engine.network.bigip.as3.names import TEXT_LENGTH
from gateway.engine.network.bigip.as3.records import Record, record_of, records_in
from gateway.engine.network.bigip.review import cautions
from gateway.engine.network.plans.phrases import clean, count, owner_of, word_of
from gateway.engine.network.plans.plan import Kind, Step
from gateway.engine.network.transport.texts import LONGEST

TOLD_ALONE: Final = 3  # places whose rules alone changed; more of them are one step
LONGEST_PLACE: Final = TEXT_LENGTH
ANOTHER: Final = "another service answers under this host"
OTHER_TEAM: Final = "the service has other places that are another team's"
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
    looks = cautions.Looks(host_of(place) for place in (*before, *after))
    owners: dict[str, set[str]] = {}
    for record in after.values():
        owners.setdefault(record.entity, set()).add(record.owner)
    for place in before.keys() - after.keys():
        last = before[place].entity not in remaining
        yield _removal(path, environment, place, before[place], behind(place, after), last=last)
    for place in after.keys() - before.keys():
        first = after[place].entity not in known
        made = _addition(path, environment, place, after[place], behind(place, before), first=first)
        odd = (*looks.like(host_of(place)), *([OTHER_TEAM] if len(owners[after[place].entity]) > 1 else []))
        yield replace(made, caution="; ".join(filter(None, (made.caution, *odd))))
    both = [place for place in sorted(before.keys() & after.keys()) if before[place] != after[place]]
    quiet = [place for place in both if before[place][:2] == after[place][:2]]
    for place in both:
        if before[place][:2] != after[place][:2]:
            yield _hand_over(path, environment, place, before[place], after[place])
    yield from _new_rules(path, quiet, before, after)


def _group_step(path: str, environment: str, before: Mapping[str, Record]) -> Step:
    caution = "nothing on the device says any more which host is whose" if before else ""
    return Step(Kind.REMOVE, path, f"Removes the list `{path}` of the hosts of {environment}.", caution=caution)


def behind(place: str, records: Mapping[str, Record]) -> Record | None:
    """Who answers at ``place`` where it has no record of its own: the longest path above it, the exact host before the
    wildcard, as the door routes."""
    if len(place) > LONGEST_PLACE:  # none of ours: a declaration of somebody else may hold anything
        return None
    host, _, path = place.partition("/")
    for name in (host, f"*.{host.partition('.')[2]}"):
        words = path.split("/") if path else []
        for length in range(len(words), -1, -1):
            above = "/".join((name, *words[:length]))
            if above != place and (record := records.get(above)) is not None:
                return record
    return None


def _removal(path: str, environment: str, place: str, record: Record, next_one: Record | None, *, last: bool) -> Step:
    """``next_one``: who answers there from then on, None for nobody."""
    what = f"Removes {_told(place)} (`{_told(record.entity)}` of {owner_of(record.owner)}) from {environment}"
    then = "with it the service leaves the environment" if last else "the service keeps its other places"
    found, caution = f"callers of {_told(place)} find nothing there", ""
    if next_one is not None:
        found = f"callers of {_told(place)} are answered by {_named(next_one)} from then on"
        caution = ANOTHER if next_one.entity != record.entity else ""
    return Step(
        Kind.REMOVE, f"{path} {place}", f"{what}: {then}, and {found}.", (record.entity,), (host_of(place),),
        before=_said(record), caution=caution,
    )  # fmt: skip


def _addition(path: str, environment: str, place: str, record: Record, last_one: Record | None, *, first: bool) -> Step:
    """``last_one``: who answered there until now, None for nobody."""
    what = f"Adds {_told(place)} (`{_told(record.entity)}` of {owner_of(record.owner)}) to {environment}"
    then = "the service is new there" if first else "the service has other places there already"
    found, caution, before = "nobody is cut off", "", None
    if last_one is not None and last_one.entity != record.entity:
        found, caution, before = f"until now {_named(last_one)} answered there", ANOTHER, _said(last_one)
    elif place.startswith("*."):
        caution = f"it answers at every host below {_told(host_of(place)[2:])} that no other service has"
    return Step(
        Kind.ADD, f"{path} {place}", f"{what}: {then}, and {found}.", (record.entity,), (host_of(place),),
        before=before, after=_said(record), caution=caution,
    )  # fmt: skip


def _hand_over(path: str, environment: str, place: str, old: Record, new: Record) -> Step:
    """To another service, which is a removal for the old one, or to another team."""
    caution = ""
    if old.owner != new.owner:
        caution = "another team decides who may come" if new.owner else "nobody decides any more who may come"
    hosts = (host_of(place),)
    if old.entity == new.entity:
        sentence = (
            f"Moves {_told(place)} (`{_told(new.entity)}`) in {environment} from {owner_of(old.owner)} to "
            f"{owner_of(new.owner)}: its callers notice nothing."
        )
        pair = (_said(old), _said(new))
        return Step(Kind.CHANGE, f"{path} {place}", sentence, (new.entity,), hosts, *pair, caution)
    sentence = (
        f"Takes {_told(place)} in {environment} from {_named(old)} and gives it to {_named(new)}: who calls it is "
        f"answered by `{_told(new.entity)}` from then on."
    )
    return Step(
        Kind.REMOVE, f"{path} {place}", sentence, (old.entity, new.entity), hosts, _said(old), _said(new),
        "; ".join(filter(None, (ANOTHER, caution))),
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


def _named(record: Record) -> str:
    return f"`{_told(record.entity)}` of {owner_of(record.owner)}"


def _told(text: str) -> str:
    """A host or a ref whole: it is the name that is reviewed, whatever it looks like."""
    return clean(text, LONGEST)


def _said(record: Record) -> dict[str, Any]:
    return record._asdict()
