"""The report for people: the summary first, then what to look at, each thing with what to do about it.

Lines with a style, so that a terminal may colour them and nothing depends on colour. Long lists are cut and counted
unless all is asked for. What is shown was written by identity providers and catalogs: whoever prints it spells out
control characters.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Final, NamedTuple, TypeVar

from gateway.identity.presets import groups_of, with_preset
from gateway.people.report import Effects, IssuerMap, Proposal, people_with
from gateway.people.stable import stamp
from gateway.questions.explain import WhyFrames
from gateway.questions.rights import why_of
from policy.explain import short_name
from policy.people.identity_map import Compared, Placed
from policy.people.near import words_of
from policy.people.rights import Effect
from policy.probe import Way, needs_in_words

T = TypeVar("T")
SHOWN: Final = 12  # of a list, unless all is asked for
NAMED: Final = 5  # of the people of one line
_CLASSES: Final = {
    "matched": "matched", "ambiguous": "ambiguous", "near": "near", "only_there": "only there", "only_here": "only here"
}  # fmt: skip
_EFFECTS: Final[dict[Effect, str]] = {
    "gain": "would gain", "lose": "would lose", "other": "would have to show something else"
}  # fmt: skip
_UNCLEAR: Final = "whose User this is has to be decided first: another subject is it, or nearly is it"
_BETWEEN: Final = {
    "two_users": ("one key on several Users", "leave it on one of them"),
    "two_claims": ("its claims lead to different Users", "put the ids on one User"),
    "two_subjects": ("also that User", "find out who it is: both come as this User now"),
    "two_groups": ("one key on several Groups", "leave it on one of them"),
}


class Line(NamedTuple):
    text: str
    style: str = ""


def lines_of(found: IssuerMap, since: int, why: WhyFrames, *, details: bool) -> Iterator[Line]:
    """``since``: epoch seconds from which on doors have told who came; 0: none of it is known."""
    yield from _summary(found, since)
    most = None if details else SHOWN
    yield from _people(found, most)
    if found.groups is not None:
        source = groups_of(found.issuer)
        yield from _groups(found.groups, [each.field for each in source.match] if source else [], most)
    yield from _teams(found, most)
    yield from _rights(found, why, details)


# === the summary ===


def _summary(found: IssuerMap, since: int) -> Iterator[Line]:
    issuer = with_preset(found.issuer)
    by = ", ".join(f"{each.claim} = {each.field}" for each in issuer.match)
    yield Line(f"{issuer.name}  {issuer.issuer}", "bold")
    yield Line(f"  matches by {by or 'nothing'}; teams by `membership: {issuer.membership}`", "dim")
    seen = sum(bool(each.seen_at) for each in found.told.values())
    listed = sum(each.listed for each in found.told.values())
    sources = [f"{seen:,} seen since {(stamp(since) or '')[:10]}"] if since else []
    sources += [f"{listed:,} in the list"] if listed else []
    yield Line(f"  {', '.join(sources) or 'nobody seen'}; {len(found.people.here):,} Users in the catalog", "dim")
    yield Line(f"  people  {_counts(found.people)}")
    if found.groups is not None:
        yield Line(f"  groups  {_counts(found.groups)}")
        apart = sum(bool(each.only_there or each.only_here) for each in found.teams)
        yield Line(f"  teams   {_counted(apart, 'team')} with other members there than here")
    for scenario in found.scenarios:
        unknown = _counted(len(scenario.unknown), "person", "people")
        aside = f"; of {unknown} it is not known" if scenario.unknown else ""
        yield Line(f"  rights  with membership {scenario.membership}: {_turned(scenario.effects)}{aside}")
    if found.proposals:
        yield Line(f"  rights  with near misses mended: {_turned(found.mended)}")
    for note in found.notes:
        yield Line(f"  note    {note}", "yellow")


def _counts(compared: Compared) -> str:
    return " · ".join(f"{number:,} {_CLASSES[kind]}" for kind, number in compared.counts().items())


def _turned(effects: Sequence[Effects]) -> str:
    said = [
        f"{_counted(len(people), 'person', 'people')} {verb}"
        for effect, verb in _EFFECTS.items()
        if (people := people_with(effects, effect))
    ]
    if not said:
        return "nobody would gain or lose anything"
    exposures = {each.exposure for each in effects}
    services = {each.partition("@")[0] for each in exposures}
    return f"{', '.join(said)}, in {_counted(len(exposures), 'exposure')} of {_counted(len(services), 'service')}"


# === who ===


def _people(found: IssuerMap, most: int | None) -> Iterator[Line]:
    proposals = {each.subject: each for each in found.proposals}
    for kind, style in (("ambiguous", "bold red"), ("near", "bold yellow")):
        placed = [each for each in found.people.there if each.kind == kind]
        yield from _titled(f"people: {_CLASSES[kind]}", style, len(placed))
        for each in _first(placed, most):
            yield from _misplaced(each, _called(found, each.name), proposals.get(each.name))
            if len(each.near) == 1 and not each.proposed:
                yield Line(f"      {_UNCLEAR}", "dim")
        yield from _rest(placed, most)
    alone = [each for each in found.people.there if each.kind == "only_there"]
    yield from _titled("people: only there", "bold", len(alone))
    for each in _first(alone, most):
        lacks = "" if each.why == "nobody" else "  has none of the claims that are compared"
        yield Line(f"    {_called(found, each.name)}{lacks}")
    yield from _rest(alone, most)
    listed = any(each.listed for each in found.told.values())
    absent = "could be matched, and is not in the list" if listed else "could be matched, and did not come"
    fields = [rule.field for rule in with_preset(found.issuer).match]
    yield from _only_here("people", found.people, fields, absent, most)
    if most is None:
        matched = [each for each in found.people.there if each.kind == "matched"]
        yield from _titled("people: matched", "bold green", len(matched))
        for each in matched:
            by = ", ".join(f"{claim} = {field}" for claim, field in each.via)
            told = found.told[each.name]
            last = f"last seen {stamp(told.seen_at)}" if told.seen_at else "never seen"
            if told.seen_at and told.ref_then != each.ref:
                last += f" as {told.ref_then or told.refusal_then}"
            yield Line(f"    {_called(found, each.name)} is {each.ref}  by {by}; {last}")


def _groups(compared: Compared, fields: Sequence[str], most: int | None) -> Iterator[Line]:
    noun = "groups"
    for kind, style in (("ambiguous", "bold red"), ("near", "bold yellow")):
        placed = [each for each in compared.there if each.kind == kind]
        yield from _titled(f"{noun}: {_CLASSES[kind]}", style, len(placed))
        for each in _first(placed, most):
            yield from _misplaced(each, each.name, None)
        yield from _rest(placed, most)
    alone = [each for each in compared.there if each.kind == "only_there"]
    yield from _titled(f"{noun}: only there", "bold", len(alone))
    yield from (Line(f"    {each.name}") for each in _first(alone, most))
    yield from _rest(alone, most)
    yield from _only_here(noun, compared, fields, "could be matched, and nobody was said to be in it", most)


def _misplaced(placed: Placed, called: str, proposal: Proposal | None) -> Iterator[Line]:
    if placed.kind == "ambiguous":
        sentence, todo = _BETWEEN[placed.why]
        whom = f" {placed.ref}," if placed.ref else ""
        yield Line(f"    {called}{whom} {sentence}: {', '.join(placed.others)}")
        yield Line(f"      {todo}", "dim")
        return
    yield Line(f"    {called}")
    for near in placed.near:
        words = words_of(near)
        yield Line(f"      {words.sentence}")
        yield Line(f"      {words.todo}", "dim")
    if proposal is not None:
        what = f"{_counted(proposal.operations, 'operation')} more in {_counted(proposal.exposures, 'exposure')}"
        yield Line(f"      then {proposal.ref} could call {what if proposal.operations else 'nothing more'}", "dim")


def _only_here(noun: str, compared: Compared, fields: Sequence[str], absent: str, most: int | None) -> Iterator[Line]:
    shared = [each for each in compared.here if each.why == "same_key"]
    yield from _titled(f"{noun}: share a key in the catalog", "bold red", len(shared))
    for each in _first(shared, most):
        yield Line(f"    {each.ref} and {', '.join(each.others)}: it cannot be told which is meant")
    yield from _rest(shared, most)
    here = sorted(compared.only_here, key=lambda one: (one.why == "not_seen", one.ref))
    yield from _titled(f"{noun}: only here", "bold", len(here))
    for each in _first(here, most):
        yield Line(f"    {each.ref}  {_fieldless(fields) if each.why == 'no_field' else absent}")
    yield from _rest(here, most)


def _fieldless(fields: Sequence[str]) -> str:
    missing = " nor ".join(f"`{field}`" for field in fields)
    return f"can never be matched: has {'neither' if len(fields) > 1 else 'no'} {missing or 'field to compare'}"


def _called(found: IssuerMap, name: str) -> str:
    label = found.told[name].label
    return f"{label} ({name})" if label and label != name else name


# === teams and rights ===


def _teams(found: IssuerMap, most: int | None) -> Iterator[Line]:
    teams = [each for each in found.teams if each.only_there or each.only_here or most is None]
    yield from _titled("teams with other members", "bold", len(teams))
    for team in _first(teams, most):
        yield Line(f"    {team.team}  is {', '.join(team.groups)}")
        for people, where in (
            (team.only_there, "by the issuer's groups alone"),
            (team.only_here, "by the catalog alone"),
            (team.unknown, "by the catalog, groups not known"),
        ):
            if people:
                yield Line(f"      {where}: {_people_named(people, most)}")
    yield from _rest(teams, most)


def _rights(found: IssuerMap, why: WhyFrames, details: bool) -> Iterator[Line]:
    for scenario in found.scenarios:
        title = f"rights with membership {scenario.membership} instead of {found.issuer.membership}"
        yield from _effects(title, scenario.effects, why, details)
    yield from _effects("rights with near misses mended", found.mended, why, details)


def _effects(title: str, effects: Sequence[Effects], why: WhyFrames, details: bool) -> Iterator[Line]:
    yield from _titled(title, "bold", len({each.exposure for each in effects}), "exposure")
    shown = _first(effects, None if details else SHOWN)
    exposure = ""
    for each in shown:
        if each.exposure != exposure:
            exposure = each.exposure
            yield Line(f"    {exposure}")
        way = each.after or each.before
        assert way is not None  # INVARIANT: as of a turn
        who = _counted(len(each.people), "person", "people")
        number = len(each.operations)
        what = f"{number} of {each.total}" if number < each.total else f"all {number}" if number > 1 else "the one"
        style = "green" if each.effect == "gain" else "red"
        verb = _EFFECTS[each.effect] + (" for" if each.effect == "other" else "")
        yield Line(f"      {who} {verb} {what} operation{'' if what == 'the one' else 's'}", style)
        yield Line(f"        {way.permit.rule} {why_of(why, exposure, way.permit.rule).sentence}")
        if each.effect == "other" and each.before is not None and each.after is not None:
            yield Line(f"        must show {_shown(each.after)} instead of {_shown(each.before)}")
        yield Line(f"        {_people_named(each.people, None if details else SHOWN)}", "dim")
        if details:
            yield from (Line(f"          {name}", "dim") for name in each.operations)
    if len(effects) > len(shown):
        yield Line(f"    and {len(effects) - len(shown):,} more: --details lists them", "dim")


def _shown(way: Way) -> str:
    said = [f"scope {' and '.join(way.scopes)}"] if way.scopes else []
    said += [needs_in_words(way.needs)] if way.needs else []
    return ", ".join(said) or "nothing more"


# === words ===


def _titled(title: str, style: str, number: int, noun: str = "") -> Iterator[Line]:
    if number:
        yield Line("")
        yield Line(f"  {title} ({_counted(number, noun) if noun else f'{number:,}'})", style)


def _first(values: Sequence[T], most: int | None) -> Sequence[T]:
    return values if most is None else values[:most]


def _rest(values: Sequence[object], most: int | None) -> Iterator[Line]:
    if most is not None and len(values) > most:
        yield Line(f"    and {len(values) - most:,} more: --details lists them", "dim")


def _people_named(refs: Iterable[str], most: int | None) -> str:
    names = [short_name(ref) for ref in refs]
    if most is None or len(names) <= NAMED:
        return ", ".join(names)
    return f"{', '.join(names[:NAMED])} and {len(names) - NAMED:,} more"


def _counted(number: int, noun: str, plural: str = "") -> str:
    return f"{number:,} {noun if number == 1 else plural or noun + 's'}"
