"""`who-can` and `what-can` as values for people and programs: the answers of the table, with sentences and sources.

As with `gateway.questions.explain`, nothing runs for this and nothing is contacted, and identities are not proved.
"""

from __future__ import annotations

from typing import Any, Final

from gateway.questions.explain import WhyFrames
from policy import explain as words
from policy.facts import Permit, Refusal, Source
from policy.offers import Offer
from policy.probe import Way
from policy.questions import Entry, WhoCan

NO_WORDS: Final = words.Why("", "", Source(""))


def why_of(why: WhyFrames, exposure: str, rule: str) -> words.Why:
    """The sentence and the source of a rule on an exposure; empty when there is none."""
    return words.why(why.get(f"why/{exposure}", {}), rule) or NO_WORDS


def who_can_as_json(found: WhoCan, why: WhyFrames, *, everyone: bool) -> dict[str, Any]:
    """The stable form. Unless ``everyone``, those who may like everybody are counted alone."""
    return {
        "exposure": found.exposure,
        "operations": [
            {"name": each.name, "scopes": None if each.scopes is None else [list(some) for some in each.scopes]}
            for each in found.operations
        ],
        "public": None if found.public is None else _rule_as_json(found.public, why, found.exposure),
        "allowed": [_entry_as_json(each, why, found.exposure, everyone) for each in found.allowed],
        "denied": [_entry_as_json(each, why, found.exposure, everyone) for each in found.denied],
    }


def offer_as_json(offer: Offer, why: WhyFrames) -> dict[str, Any]:
    exposure = offer.exposure
    return {
        "exposure": exposure.key,
        "service": exposure.service,
        "environment": exposure.environment,
        "host": exposure.host,
        "prefix": exposure.prefix,
        "operations": offer.total,
        "allowed": [
            {**_rule_as_json(way.permit, why, exposure.key), **_shown_as_json(way), "operations": list(names)}
            for way, names in offer.ways
        ],
    }


def _entry_as_json(entry: Entry, why: WhyFrames, exposure: str, everyone: bool) -> dict[str, Any]:
    verdict = entry.answer.permit if isinstance(entry.answer, Way) else entry.answer
    listed = everyone or not entry.everybody
    return {
        "kind": entry.kind,
        "everybody": entry.everybody,
        "count": len(entry.members),
        **_rule_as_json(verdict, why, exposure),
        "subject": entry.subject,
        **_shown_as_json(entry.answer),
        "members": [{"ref": each.ref, "teams": list(each.teams)} for each in entry.members] if listed else [],
    }


def _shown_as_json(answer: Way | Refusal) -> dict[str, Any]:
    way = answer if isinstance(answer, Way) else None
    return {"scopes": list(way.scopes) if way else [], "needs": list(way.needs) if way else []}


def _rule_as_json(verdict: Permit | Refusal, why: WhyFrames, exposure: str) -> dict[str, Any]:
    told = why_of(why, exposure, verdict.rule)
    return {
        "reason": verdict.reason,
        "rule": verdict.rule,
        "sentence": told.sentence,
        "because": told.because,
        "source": source_as_json(told.source),
    }


def source_as_json(source: Source) -> dict[str, Any]:
    return {"file": source.file, "line": source.line, "entity": source.entity}
