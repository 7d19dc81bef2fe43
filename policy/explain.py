"""Rules and decisions in words: one sentence a rule, at most 25 words, one main verb; and what to do about a refusal.

A sentence says who may do what, where and why. The reason somebody wrote down (``because``) stands beside it,
never in it: it is theirs, and may be long.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import product
from typing import Final

from policy.facts import ALL_PEOPLE, ALL_WORKLOADS, EVERYONE, Permit, Refusal, Source
from policy.paths import READ, WRITE
from policy.reasons import (
    CONSUMER,
    NO_RULE,
    OWN_ENDPOINT,
    OWNER,
    PUBLIC,
    REQUIREMENT_UNMET,
    SCOPE_MISSING,
    TEXTS,
    WORKLOAD_UNMET,
    ReasonText,
)
from policy.reasons import EVERYONE as EVERYONE_REACH
from policy.requirements import duration_text, in_words, is_of_programs
from policy.rule import Rule
from policy.stated import EVERY_SERVICE
from policy.statements import ANYONE, Requirement
from policy.table import Match

LONGEST_WORDS: Final = 25

_GROUPS_OF_PEOPLE: Final = {
    ALL_PEOPLE: "All people",
    ALL_WORKLOADS: "All programs",
    EVERYONE: "Everyone in the catalog",
    ANYONE: "Anyone",
}
_KINDS: Final = {"user": "User", "group": "Team", "component": "Service"}
# How a service is told by what a selector asks of it.
_BY: Final = {
    "type": "of type",
    "tag": "tagged",
    "system": "of system",
    "domain": "of domain",
    "api": "providing",
}


def sentence_of(rule: Rule) -> str:
    """The rule in one sentence. What would take too many words is shortened and counted: first what must be shown, then
    operations, then services."""
    longest, *shorter = product((True, False), (True, False), ("full", "short", "counted"))
    sentence = _sentence(rule, *longest)
    for form in shorter:
        if len(sentence.split()) <= LONGEST_WORDS:
            break
        sentence = _sentence(rule, *form)
    return sentence


def _sentence(rule: Rule, services: bool, operations: bool, demands: str) -> str:
    may = "may" if rule.is_permit else "must never"
    where = f" in {rule.environment}" if rule.environment else "" if rule.is_permit else " anywhere"
    what = f"{_action(rule, operations)} {_target(rule, services)}"
    return f"{_subject(rule.subject)} {may} {what}{where}{_strength(rule, demands)} because {_why(rule)}."


def counted_in(rule: Rule) -> dict[str, list[str]]:
    """What the sentence only counts, by name: operations, APIs, services (each key of the selector with its values, all
    of which must agree) and what must be shown."""
    sentence, found = sentence_of(rule), {}
    operations, apis = _named(rule), sorted(map(short_name, rule.apis or ()))
    demands = [_demand(each) for asked in _asked(rule).values() for each in asked]
    if f" call {len(operations)} operations of " in sentence:
        found["operations"] = operations
    elif f" call {len(apis)} APIs of " in sentence:
        found["APIs"] = apis
    if rule.origin == "access-policy" and rule.target != EVERY_SERVICE and _target(rule, False) in sentence:
        values = {key: map(short_name, refs) for key, refs in _by_key(rule.target).items()}
        found["services"] = [f"{key} {' or '.join(names)}" for key, names in values.items()]
    if f", with {len(demands)} requirement" in sentence:
        found["must show"] = demands
    return found


def short_name(ref: str) -> str:
    """``payments`` for ``group:default/payments``; another namespace stays visible."""
    name = ref.partition(":")[2] or ref
    return name.removeprefix("default/")


def _subject(subject: str) -> str:
    if subject in _GROUPS_OF_PEOPLE:
        return _GROUPS_OF_PEOPLE[subject]
    return f"{_KINDS.get(subject.partition(':')[0], 'Subject')} {short_name(subject)}"


def _action(rule: Rule, in_full: bool) -> str:
    if rule.operations:
        named = _named(rule)
        counted = len(named) > 1 and not in_full
        return f"call {len(named)} operations of" if counted else f"call {_each_of(named, rule)} of"
    if rule.apis is not None:
        apis = [short_name(api) for api in sorted(rule.apis)] or ["no operation"]
        return f"call {_each_of(apis, rule)} of" if in_full or len(apis) == 1 else f"call {len(apis)} APIs of"
    if rule.methods is None:
        return "call every operation of" if rule.is_permit else "use"
    if "GET" in rule.methods and rule.methods <= READ:
        return "read"
    return "write to" if rule.methods == WRITE else f"send {'/'.join(sorted(rule.methods))} to"


def _named(rule: Rule) -> list[str]:
    return [f"{method} /{'/'.join(template)}" for method, template in rule.operations]


def _each_of(names: list[str], rule: Rule) -> str:
    """What is allowed is all of them, what is forbidden any of them."""
    conjunction = " and " if rule.is_permit else " or "
    return conjunction.join([", ".join(names[:-1]), names[-1]]) if len(names) > 1 else "".join(names)


def _target(rule: Rule, in_full: bool) -> str:
    """A service by its name, others by what selects them."""
    if rule.origin != "access-policy":
        return short_name(rule.target)
    if rule.target == EVERY_SERVICE:
        return "any service"
    terms = _by_key(rule.target)
    if not in_full:
        return _counted(terms)
    services = [short_name(each) for each in terms.pop("service", ())]
    told = " ".join(f"{by} {' or '.join(map(short_name, terms[key]))}" for key, by in _BY.items() if key in terms)
    if services:
        return _each_of(services, rule) + (f", if {told}," if told else "")
    return f"{'all services' if rule.is_permit else 'any service'} {told}"


def _by_key(target: str) -> dict[str, list[str]]:
    """The refs or words that a selector has for each of its keys."""
    return {key: values.split(" or ") for key, _, values in (each.partition(" ") for each in target.split(" and "))}


def _counted(terms: Mapping[str, list[str]]) -> str:
    if len(terms) > 1:
        return f"services matching {len(terms)} conditions"
    ((key, values),) = terms.items()
    return f"{len(values)} services" if key == "service" else f"services of {len(values)} {key}s"


def _strength(rule: Rule, form: str) -> str:
    """What must be shown, as far as it is about such a subject. A deny asks for nothing and may make an exception."""
    if rule.subject == ANYONE:
        return ", without signing in,"
    if rule.except_grants:
        return " without temporary access"
    demand = _demand if form == "full" else _short_demand
    asked = {kind: list(map(demand, requirements)) for kind, requirements in _asked(rule).items()}
    number = sum(map(len, asked.values()))
    if not number:
        return ""
    if form == "counted":
        return f", with {number} requirements," if number > 1 else ", with 1 requirement,"
    crowds = {"person": " for people", "workload": " for programs"} if len(asked) > 1 else {}
    told = (f", with {' and '.join(words)}{crowds.get(kind, '')}" for kind, words in asked.items() if words)
    return "".join(told) + ","


def _asked(rule: Rule) -> dict[str, list[Requirement]]:
    """What is asked of the subject, by kind of caller: what is asked of others says nothing here."""
    is_program = rule.subject.startswith("component:") or rule.subject == ALL_WORKLOADS
    kinds = ("person", "workload") if rule.subject == EVERYONE else ("workload",) if is_program else ("person",)
    return {kind: [each for each in rule.requirements if each.kind == kind] for kind in kinds}


def _demand(requirement: Requirement) -> str:
    name, names = requirement.name, " or ".join(str(requirement.argument).split(","))
    if name == "fresh":
        return f"a sign-in within {duration_text(int(requirement.argument))}"
    forms = {"issuer": f"a token of {names}", "network": f"an address in {names}", "certificate": "a certificate"}
    return forms.get(name, name)


def _short_demand(requirement: Requirement) -> str:
    name = requirement.name
    if name == "fresh":
        return f"{duration_text(int(requirement.argument))}-fresh sign-in"
    names = str(requirement.argument).replace(",", "|")
    return {"issuer": f"{names} token", "network": f"{names} address"}.get(name, name)


def _why(rule: Rule) -> str:
    if rule.origin == "access-policy":
        return "the access policy says so"
    if rule.reason == OWNER:
        return "it owns it"
    if rule.reason == CONSUMER:
        return "it declares that use"
    if rule.reason == EVERYONE_REACH:
        return "it is open to everyone"
    if rule.reason == PUBLIC:
        return "its owner made it public"
    if rule.reason == OWN_ENDPOINT:
        return "stagedoor serves itself"
    return "its owner names that team"


@dataclass(frozen=True, slots=True)
class Why:
    """What is kept of a rule for people: never needed to decide."""

    sentence: str
    because: str
    source: Source


@dataclass(frozen=True, slots=True)
class Explanation:
    """A decision in words. ``source`` is where the deciding rule was said, or empty."""

    allowed: bool
    reason: str
    rule: str
    operation: str
    sentence: str
    because: str
    source: Source
    todo: str


WhyFrame = Mapping[str, tuple[str, str, str, int, str]]


def why_frame(rules: Iterable[Rule]) -> dict[str, tuple[str, str, str, int, str]]:
    """Rule id to sentence, because, file, line, entity: plain values, in order of ids."""
    return {
        rule.id: (sentence_of(rule), rule.because, rule.source.file, rule.source.line, rule.source.entity)
        for rule in sorted(rules, key=lambda each: each.id)
    }


def why(frame: WhyFrame, rule: str) -> Why | None:
    """The words for a rule id out of an exposure's ``why`` frame."""
    found = frame.get(rule)
    if found is None:
        return None
    sentence, because, file, line, entity = found
    return Why(sentence, because, Source(file, line, entity))


def explain(frame: WhyFrame, match: Match | None, verdict: Permit | Refusal) -> Explanation:
    """The verdict in words. ``frame`` is the ``why`` frame of the matched exposure, empty when nothing matched."""
    known = why(frame, verdict.rule)
    text = _text_of(verdict)
    sentence = known.sentence if known else text.sentence
    if isinstance(verdict, Refusal):
        sentence = _refused(verdict, match, known)
    return Explanation(
        isinstance(verdict, Permit),
        verdict.reason,
        verdict.rule,
        verdict.operation,
        sentence,
        known.because if known else "",
        known.source if known else Source(""),
        text.todo,
    )


def _text_of(verdict: Permit | Refusal) -> ReasonText:
    """A program cannot sign in again: what it lacks is said in other words."""
    unmet = isinstance(verdict, Refusal) and verdict.reason == REQUIREMENT_UNMET and is_of_programs(verdict.need)
    return WORKLOAD_UNMET if unmet else TEXTS[verdict.reason]


def _refused(refusal: Refusal, match: Match | None, known: Why | None) -> str:
    text = _text_of(refusal).sentence
    if refusal.reason in (SCOPE_MISSING, REQUIREMENT_UNMET) and refusal.need:
        return f"{text[:-1]}: {in_words(refusal.need)}."
    if refusal.reason == NO_RULE and match is not None and match.exposure.key:
        return f"No rule gives the caller access to {match.exposure.key}."
    return known.sentence if known else text
