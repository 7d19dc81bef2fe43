"""What pages and the API show of the last look at a device: the waiting plan, the drift, who is met where.

Made once for each look, in the worker thread, and small whatever a device or a catalog says: so many steps, drifts and
places, each text cut, each value trimmed before it is written. What was left out is counted. Of a long plan the steps
that ask for a second look are kept first: they are what the reader is there for.
"""

from __future__ import annotations

import shlex
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, NamedTuple

import orjson

from gateway.engine.network.fronts import Front
from gateway.engine.network.plans.plan import Difference, Drift, Kind, Observed, Plan, Step
from gateway.engine.network.reconcile.standing import short, some_of

STEPS: Final = 300
DRIFTS: Final = 100
FRONTS: Final = 500
NAMED: Final = 10  # hosts and entities of one step
REMARKS: Final = 20
NAME_LENGTH: Final = 300
VALUE_LENGTH: Final = 1500
_NODES: Final = 120  # of one value
_DEEPEST: Final = 6
_LEFT_OUT: Final = "…"

_PUTS_BACK: Final = "Read the plan and apply it: that puts it back. In mode `enforce` the next look does so."
_TODO: Final = {
    Difference.EDITED: _PUTS_BACK,
    Difference.MISSING: _PUTS_BACK,
    Difference.GONE: _PUTS_BACK,
    Difference.FOREIGN: "Applying a plan takes it away. If somebody needs it, have it moved out of here first.",
    Difference.DRAINED: "Nothing: a drain is kept through every apply. Who drained it enables it again on the device.",
    Difference.REPLACED: "Find out who else writes here and why; then read the plan and apply it.",
    Difference.EXPIRING: "Renew the certificate on the device.",
    Difference.VERSION: "Apply the waiting plan, if there is one; else look again in a minute.",
    Difference.MOVED: "Put it back where it was; of rules between the anchors, applying a plan does so.",
    Difference.EXTRA: "Move it out of the block, if it was not meant: rules above others decide before them.",
    Difference.LOCKED: "Ask its holder to release it. Nobody else's lock is ever taken away.",
    Difference.UNCOMMITTED: "Have it committed or reverted by whoever edited it; edits of ours go with the next apply.",
}
# What a command does about it, by what differs.
_BY_A_PLAN: Final = frozenset(
    (
        Difference.EDITED, Difference.MISSING, Difference.GONE, Difference.FOREIGN, Difference.REPLACED,
        Difference.MOVED,
    )
)  # fmt: skip


class Shown(NamedTuple):
    """Plain values, as JSON has them. ``waiting``: how many steps of the plan are about each entity; ``by_entity``: the
    first place where clients meet each."""

    plan: Mapping[str, Any]
    drift: Mapping[str, Any]
    fronts: Mapping[str, Any]
    commands: Mapping[str, str]
    waiting: Mapping[str, int]
    by_entity: Mapping[str, Front]

    def done(self) -> Shown:
        """After an apply that was read back: nothing waits and nothing differs, until the next look says otherwise."""
        plan = {**self.plan, "total": 0, "cautions": 0, "kinds": dict.fromkeys(self.plan["kinds"], 0), "steps": []}
        drift = {"total": 0, "counts": {}, "differences": []}
        return self._replace(plan=plan, drift=drift, waiting={})


def shown_of(plan: Plan, drifts: Sequence[Drift], observed: Observed, fronts: Sequence[Front]) -> Shown:
    commands = commands_of(plan.device, plan.environment)
    is_foreign = observed.content is not None and not observed.ours
    return Shown(
        _plan_as_json(plan),
        _drift_as_json(drifts, commands),
        _fronts_as_json(fronts),
        commands if is_foreign else {name: text for name, text in commands.items() if name != "adopt"},
        Counter(entity for step in plan.steps for entity in set(step.entities)),
        {front.entity: front for front in reversed(fronts)},
    )


def commands_of(device: str, environment: str) -> dict[str, str]:
    """To be copied; applying needs a person at the node."""
    named = f"--device {shlex.quote(device)} --env {shlex.quote(environment)}"
    file = shlex.quote(f"{environment}.plan")
    return {
        "plan": f"stagedoor plan {named} --out {file}",
        "apply": f"stagedoor apply {file}",
        "drift": f"stagedoor drift {named}",
        "adopt": f"stagedoor adopt {named}",
    }


# === the plan ===


def _plan_as_json(plan: Plan) -> dict[str, Any]:
    order = list(Kind)
    numbered = list(enumerate(sorted(plan.steps, key=lambda step: order.index(step.kind)), 1))
    kept = sorted(numbered, key=lambda each: (not each[1].caution, each[0]))[:STEPS]
    return {
        "made": plan.made,
        "version": short(plan.version, NAME_LENGTH),
        "fingerprint": short(plan.fingerprint, NAME_LENGTH),
        "total": len(numbered),
        "kinds": {kind.value: sum(step.kind is kind for _, step in numbered) for kind in order},
        "cautions": sum(bool(step.caution) for _, step in numbered),
        "remarks": list(some_of(plan.remarks, REMARKS)),
        "steps": [_step_as_json(number, step) for number, step in sorted(kept, key=lambda each: each[0])],
    }


def _step_as_json(number: int, step: Step) -> dict[str, Any]:
    """``hosts``: those whose callers notice it, as far as its sentence does not name them."""
    sentence, near = short(step.sentence), [short(each, NAME_LENGTH) for each in step.hosts[: 4 * NAMED]]
    hosts = [host for host in near if host not in sentence]
    return {
        "number": number,
        "kind": step.kind.value,
        "object": short(step.object, NAME_LENGTH),
        "sentence": sentence,
        "caution": short(step.caution),
        "entities": _names(step.entities),
        "hosts": hosts[:NAMED],
        "more_hosts": max(0, len(hosts) - NAMED) + len(step.hosts) - len(near),
        "before": text_of(step.before),
        "after": text_of(step.after),
    }


# === the drift ===


def _drift_as_json(drifts: Sequence[Drift], commands: Mapping[str, str]) -> dict[str, Any]:
    return {
        "total": len(drifts),
        "counts": dict(sorted(Counter(each.difference.value for each in drifts).items())),
        "differences": [
            {
                "difference": each.difference.value,
                "object": short(each.object, NAME_LENGTH),
                "sentence": short(each.sentence),
                "intent": text_of(each.intent),
                "applied": text_of(each.applied),
                "device": text_of(each.device),
                "todo": _TODO[each.difference],
                "command": commands["plan"] if each.difference in _BY_A_PLAN else "",
            }
            for each in drifts[:DRIFTS]
        ],
    }


# === who is met where ===


def _fronts_as_json(fronts: Sequence[Front]) -> dict[str, Any]:
    """By virtual server, in the order of their first hosts."""
    servers: dict[str, dict[str, Any]] = {}
    for front in fronts:
        server = servers.setdefault(
            front.object,
            {"object": short(front.object, NAME_LENGTH), "address": front.address, "port": front.port, "hosts": 0,
             "places": []},
        )  # fmt: skip
        server["hosts"] += 1
    for front in fronts[:FRONTS]:
        servers[front.object]["places"].append(
            {"host": front.host, "path": front.path, "entity": front.entity, "title": short(front.title, NAME_LENGTH),
             "owner": front.owner}
        )  # fmt: skip
    return {"total": len(fronts), "servers": len(servers), "virtual_servers": list(servers.values())[:FRONTS]}


# === bounds ===


def text_of(value: Any) -> str | None:
    """A JSON value for a reader, None where there is nothing. However large it is, little of it is looked at."""
    if value is None:
        return None
    trimmed = _trimmed(value, [_NODES], _DEEPEST)
    text = trimmed if isinstance(trimmed, str) else _written(trimmed)
    return short(text, VALUE_LENGTH)


def _written(value: Any) -> str:
    try:
        return orjson.dumps(value, option=orjson.OPT_INDENT_2 | orjson.OPT_NON_STR_KEYS).decode()
    except (TypeError, ValueError):  # a number beyond 64 bits, half of a surrogate pair
        return ascii(value)


def _trimmed(value: Any, left: list[int], depth: int) -> Any:
    left[0] -= 1
    if isinstance(value, str):
        return short(value)
    if not isinstance(value, Mapping | Sequence) or isinstance(value, bytes):
        return value
    if depth <= 0 or left[0] <= 0:
        return _LEFT_OUT
    if isinstance(value, Mapping):
        kept: dict[str, Any] = {}
        for key, each in value.items():
            if left[0] <= 0:
                kept[_LEFT_OUT] = f"{len(value) - len(kept)} more"
                break
            kept[short(str(key), NAME_LENGTH)] = _trimmed(each, left, depth - 1)
        return kept
    found: list[Any] = []
    for each in value:
        if left[0] <= 0:
            return [*found, f"{_LEFT_OUT} {len(value) - len(found)} more"]
        found.append(_trimmed(each, left, depth - 1))
    return found


def _names(texts: Iterable[str]) -> list[str]:
    return [short(each, NAME_LENGTH) for each in list(texts)[:NAMED]]
