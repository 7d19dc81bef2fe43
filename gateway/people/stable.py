"""The report as a value for programs: every key is always there, and none changes its meaning within a major."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from gateway.identity.presets import groups_of, with_preset
from gateway.people.report import Effects, IssuerMap, people_with
from gateway.people.subjects import Told
from gateway.questions.explain import WhyFrames
from gateway.questions.rights import why_of
from policy.people.identity_map import Compared, Listed, Placed
from policy.people.near import Near, words_of
from policy.probe import Way


def issuer_as_json(found: IssuerMap, why: WhyFrames) -> dict[str, Any]:
    issuer = with_preset(found.issuer)
    groups = groups_of(issuer)
    return {
        "name": issuer.name,
        "address": issuer.issuer,
        "membership": issuer.membership,
        "match": [{"claim": each.claim, "field": each.field, "domains": list(each.domains)} for each in issuer.match],
        "groups_by": {"claim": groups.claim, "fields": [each.field for each in groups.match]} if groups else None,
        "seen": sum(bool(each.seen_at) for each in found.told.values()),
        "listed": sum(each.listed for each in found.told.values()),
        "people": _people_as_json(found),
        "groups": None if found.groups is None else _compared_as_json(found.groups),
        "teams": [each._asdict() for each in found.teams],
        "memberships": [
            {
                "membership": each.membership,
                "counts": _counts(each.effects),
                "unknown": list(each.unknown),
                "changes": [_effects_as_json(one, why) for one in each.effects],
            }
            for each in found.scenarios
        ],
        "proposals": [each._asdict() for each in found.proposals],
        "mended": {
            "counts": _counts(found.mended),
            "changes": [_effects_as_json(one, why) for one in found.mended],
        },
        "notes": list(found.notes),
        "differs": found.differs,
    }


def stamp(at: int) -> str | None:
    """RFC 3339 to the second; None for never."""
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ") if at else None


def _people_as_json(found: IssuerMap) -> dict[str, Any]:
    said = _compared_as_json(found.people)
    said["there"] = [
        {**placed, **_told_as_json(found.told[placed["name"]])} for placed in said["there"]
    ]  # fmt: skip
    return said


def _told_as_json(told: Told) -> dict[str, Any]:
    return {
        "label": told.label,
        "claims": dict(told.claims),
        "email_verified": told.email_verified,
        "groups": None if told.groups is None else list(told.groups),
        "groups_known": told.whole,
        "seen_at": stamp(told.seen_at),
        "found_then": {"ref": told.ref_then, "refusal": told.refusal_then} if told.seen_at else None,
        "listed": told.listed,
    }


def _compared_as_json(compared: Compared) -> dict[str, Any]:
    return {
        "counts": compared.counts(),
        "there": [_placed_as_json(each) for each in compared.there],
        "here": [_listed_as_json(each) for each in compared.here],
    }


def _placed_as_json(placed: Placed) -> dict[str, Any]:
    return {
        **placed._asdict(),
        "via": [{"claim": claim, "field": field} for claim, field in placed.via],
        "near": [_near_as_json(each) for each in placed.near],
    }


def _listed_as_json(listed: Listed) -> dict[str, Any]:
    return listed._asdict()


def _near_as_json(near: Near) -> dict[str, Any]:
    return {**near._asdict(), **words_of(near)._asdict()}


def _counts(effects: Sequence[Effects]) -> dict[str, int]:
    return {
        "gain": len(people_with(effects, "gain")),
        "lose": len(people_with(effects, "lose")),
        "other": len(people_with(effects, "other")),
        "exposures": len({each.exposure for each in effects}),
    }


def _effects_as_json(effects: Effects, why: WhyFrames) -> dict[str, Any]:
    return {
        "exposure": effects.exposure,
        "effect": effects.effect,
        "before": _way_as_json(effects.before, why, effects.exposure),
        "after": _way_as_json(effects.after, why, effects.exposure),
        "operations": list(effects.operations),
        "total": effects.total,
        "people": list(effects.people),
    }


def _way_as_json(way: Way | None, why: WhyFrames, exposure: str) -> dict[str, Any] | None:
    if way is None:
        return None
    permit = way.permit
    sentence = why_of(why, exposure, permit.rule).sentence
    shown = {"scopes": list(way.scopes), "needs": list(way.needs)}
    return {"reason": permit.reason, "rule": permit.rule, "sentence": sentence, **shown}
