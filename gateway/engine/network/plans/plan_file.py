"""A plan as JSON, to be kept, read, approved and applied later, and as text for a person.

The digest covers everything else in the file: it names the plan in the audit trail, and a file that was changed after
it was made is refused. It is no signature; what a file would really do is asked of its content again before it is
applied (`Target.steps`).
"""

from __future__ import annotations

from collections.abc import Mapping
from hashlib import sha256
from typing import Any, Final

import orjson

from gateway.engine.network.plans.plan import Kind, Plan, Step
from gateway.errors import StagedoorError

FORM: Final = "stagedoor-plan/1"
_TEXTS: Final = ("device", "environment", "made", "version", "fingerprint")
LONGEST: Final = 200  # characters of each of them: they are shown, recorded and remembered
_SORTED: Final = orjson.OPT_SORT_KEYS


class PlanFault(StagedoorError):
    """The text is no plan that can be applied; says why."""


def as_json(plan: Plan) -> dict[str, Any]:
    """The stable form. ``content`` is what would be sent."""
    said = {
        "form": FORM,
        **{name: getattr(plan, name) for name in _TEXTS},
        "adopts": plan.adopts,
        "remarks": list(plan.remarks),
        "steps": [_step_as_json(step) for step in plan.steps],
        "content": plan.content,
    }
    return {**said, "digest": _digest(said)}


def digest_of(plan: Plan) -> str:
    return str(as_json(plan)["digest"])


def read(text: bytes) -> Plan:
    """Raises `PlanFault`."""
    try:
        said = orjson.loads(text)
    except orjson.JSONDecodeError as fault:
        raise PlanFault(f"this is no plan: it is no JSON ({fault})") from None
    return from_json(said)


def from_json(said: Any) -> Plan:
    """Raises `PlanFault`."""
    if not isinstance(said, dict) or "form" not in said:
        raise PlanFault("this is no plan: `stagedoor plan --out FILE` makes one")
    if said["form"] != FORM:
        raise PlanFault(f"the plan has the form `{said['form']}`, this program reads `{FORM}`: plan again")
    try:
        digest = _digest({name: value for name, value in said.items() if name != "digest"})
    except TypeError as fault:  # deeper than JSON is written
        raise PlanFault(f"the plan cannot be read ({fault}): plan again") from None
    if said.get("digest") != digest:
        raise PlanFault("the plan was changed after it was made (its digest differs): plan again")
    try:
        steps = tuple(_step(each) for each in said["steps"])
        texts = {name: _word(said[name]) for name in _TEXTS}
        remarks = tuple(_text(each) for each in said["remarks"])
    except (KeyError, TypeError, ValueError) as fault:
        raise PlanFault(f"the plan is not as one is written ({fault}): plan again") from None
    return Plan(**texts, steps=steps, content=said.get("content"), remarks=remarks, adopts=said.get("adopts") is True)


def _digest(said: Mapping[str, Any]) -> str:
    return sha256(orjson.dumps(said, option=_SORTED)).hexdigest()


def _step_as_json(step: Step) -> dict[str, Any]:
    return {
        "kind": step.kind.value,
        "object": step.object,
        "sentence": step.sentence,
        "caution": step.caution,
        "entities": list(step.entities),
        "hosts": list(step.hosts),
        "before": step.before,
        "after": step.after,
    }


def _step(said: Mapping[str, Any]) -> Step:
    return Step(
        Kind(said["kind"]),
        _text(said["object"]),
        _text(said["sentence"]),
        tuple(_text(each) for each in said["entities"]),
        tuple(_text(each) for each in said["hosts"]),
        said["before"],
        said["after"],
        caution=_text(said["caution"]),
    )


def _word(value: Any) -> str:
    text = _text(value)
    if len(text) > LONGEST or not text.isprintable():
        raise ValueError(f"`{ascii(text[:LONGEST])}` is not at most {LONGEST} printable characters")
    return text


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError(f"`{value}` is no text")
    return value
