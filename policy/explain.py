"""Rules and decisions in words: one sentence a rule, at most 25 words, one main verb; and what to do about a refusal.

A sentence says who may do what, where and why. The reason somebody wrote down (``because``) stands beside it,
never in it: it is theirs, and may be long.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
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

LONGEST_WORDS: Final = 25  # what the parts below add up to at most
_TARGET_WORDS: Final = 5
_STRENGTH_WORDS: Final = 4

_GROUPS_OF_PEOPLE: Final = {
    ALL_PEOPLE: "All people",
    ALL_WORKLOADS: "All workloads",
    EVERYONE: "Everyone",
    ANYONE: "Anyone",
}
_KINDS: Final = {"user": "User", "group": "Team", "component": "Service"}


def sentence_of(rule: Rule) -> str:
    """The rule in one sentence."""
    may = "may" if rule.is_permit else "must never"
    where = f" in {rule.environment}" if rule.environment else ""
    return (
        f"{_subject(rule.subject)} {may} {_action(rule)} {_target(rule)}{where}{_strength(rule)} because {_why(rule)}."
    )


def short_name(ref: str) -> str:
    """``payments`` for ``group:default/payments``; another namespace stays visible."""
    name = ref.partition(":")[2] or ref
    return name.removeprefix("default/")


def _subject(subject: str) -> str:
    if subject in _GROUPS_OF_PEOPLE:
        return _GROUPS_OF_PEOPLE[subject]
    return f"{_KINDS.get(subject.partition(':')[0], 'Subject')} {short_name(subject)}"


def _action(rule: Rule) -> str:
    if len(rule.operations) == 1:
        method, template = rule.operations[0]
        return f"call {method} /{'/'.join(template)} of"
    if rule.operations:
        return f"call {len(rule.operations)} operations of"
    if rule.apis is not None:
        return "call the declared operations of"
    if rule.methods is None:
        return "use"
    if rule.methods <= READ:
        return "read"
    if rule.methods == WRITE:
        return "write to"
    listed = ", ".join(sorted(rule.methods))
    return f"send {listed} to" if len(rule.methods) <= 2 else f"send {len(rule.methods)} methods to"


def _target(rule: Rule) -> str:
    """A service by its name, others by what selects them; a long selection is counted."""
    if rule.origin != "access-policy":
        return short_name(rule.target)
    if rule.target == EVERY_SERVICE:
        return "any service"
    terms = [
        (key, values.split(" or ")) for key, _, values in (each.partition(" ") for each in rule.target.split(" and "))
    ]
    words = ", ".join(_term(key, " or ".join(map(short_name, values))) for key, values in terms)
    if len(words.split()) <= _TARGET_WORDS:
        return words
    if len(terms) > 1:
        return f"services matching {len(terms)} conditions"
    key, values = terms[0]
    return f"{len(values)} services" if key == "service" else f"services of {len(values)} {key}s"


def _term(key: str, names: str) -> str:
    forms = {"service": names, "tag": f"services tagged {names}", "type": f"services of type {names}"}
    return forms.get(key, f"{key} {names}")


def _strength(rule: Rule) -> str:
    """What must be shown, as far as it is about such a subject; demands that take too many words are counted. A deny
    asks for nothing and may make an exception."""
    if rule.except_grants:
        return ", temporary access aside,"
    is_program = rule.subject.startswith("component:") or rule.subject == ALL_WORKLOADS
    about = {"person", "workload"} if rule.subject == EVERYONE else {"workload"} if is_program else {"person"}
    demands = [_demand(each) for each in rule.requirements if each.kind in about]
    words = " and ".join(demands)
    if len(words.split()) > _STRENGTH_WORDS:
        words = f"{len(demands)} requirements"
    return f", with {words}," if words else ""


def _demand(requirement: Requirement) -> str:
    if requirement.name == "fresh":
        return f"{duration_text(int(requirement.argument))}-fresh sign-in"
    names = str(requirement.argument).split(",")
    if len(names) > 1:
        return f"listed {requirement.name}s"
    return f"{requirement.name} {names[0]}" if names[0] else requirement.name


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
    return "its owner names them"


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
