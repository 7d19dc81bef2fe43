"""How a firewall differs from what was applied to it, by kind, with a sentence each. No input and output, no clock.

What another hand did to rules and objects of ours, what it put between them, which of them it moved; who keeps others
from writing, and what is edited and not committed. Rules of others are told of and never touched.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from gateway.engine.network.panos import names
from gateway.engine.network.panos.rules.changing import unmoved
from gateway.engine.network.panos.rules.codec import ASTRAY, HOLDERS
from gateway.engine.network.plans.phrases import clean, word_of
from gateway.engine.network.plans.plan import Difference, Drift, Observed


def drifts(environment: str, wanted: Any, applied: Any, observed: Observed) -> Iterator[Drift]:
    """``wanted``: the content that the catalog asks for; ``applied``: what was applied last, None if never."""
    yield from _of_device(environment, observed.parts)
    last = applied if isinstance(applied, dict) and {"rules", "place"} <= applied.keys() else None
    if last is None:  # never, or by another vendor's device of this name
        return
    if observed.content is None:
        if last["rules"]:
            said = f"All rules and objects of {environment} are gone from the device."
            yield Drift(Difference.GONE, environment, said, wanted, last, None)
        return
    wishes, before, there = _flat(wanted), _flat(last), _flat(observed.content)
    for path, value in before.items():
        if path not in there:
            said = f"`{_name(path)}` is gone from the device."
            yield Drift(Difference.MISSING, f"{environment} {path}", said, wishes.get(path), value, None)
        elif there[path] != value:
            said = f"Somebody changed `{_name(path)}`: {_changes(value, there[path])}."
            yield Drift(Difference.EDITED, f"{environment} {path}", clean(said), wishes.get(path), value, there[path])
    yield from _of_order(environment, last, observed.content)


def _of_device(environment: str, parts: Mapping[str, Any]) -> Iterator[Drift]:
    """What needs no memory to be seen."""
    for name in _names(parts, "unknown"):
        said = f"`{name}` has our name and tags, and was not made from here."
        yield Drift(Difference.REPLACED, f"{environment} rules {name}", said, device=name)
    for name in _names(parts, "alike"):
        said = f"`{name}` has a name of ours and not our tags: give it the tags back, or another name."
        yield Drift(Difference.EDITED, f"{environment} {name}", said, device=name)
    for name in _names(parts, "extra"):
        said = f"The rule `{name}` lies amid ours and is not ours: it is left alone, and decides before some."
        yield Drift(Difference.EXTRA, f"{environment} rules {name}", said, device=name)
    for name in _names(parts, "astray"):
        said = f"The rule `{name}` does not lie between the anchors any more: put it back there."
        yield Drift(Difference.MOVED, f"{environment} rules {name}", said, device=name)
    for sentence in parts.get("anchors", ()):
        yield Drift(Difference.MOVED, f"{environment} anchors", clean(f"{sentence}."), device=sentence)
    for sentence in parts.get("locks", ()):
        yield Drift(Difference.LOCKED, f"{environment} locks", clean(f"{sentence}."), device=sentence)
    for sentence in parts.get("pending", ()):
        yield Drift(Difference.UNCOMMITTED, f"{environment} candidate", clean(f"{sentence}."), device=sentence)


def _names(parts: Mapping[str, Any], key: str) -> Iterator[str]:
    return (clean(name, 80) for name in parts.get(key, ()))


def _of_order(environment: str, last: Mapping[str, Any], there: Mapping[str, Any]) -> Iterator[Drift]:
    was, now = ([rule["name"] for rule in content["rules"]] for content in (last, there))
    kept = unmoved(now, was)
    for name in now:
        if name in was and name not in kept:
            said = f"The rule `{clean(name, 80)}` has another place among ours: the first that matches decides."
            yield Drift(Difference.MOVED, f"{environment} rules {name}", said, was, was, now)


def _flat(content: Any) -> dict[str, Any]:
    """Every rule and object by where it is. The mark is not ours alone."""
    said = content or {"rules": []}
    objects = {
        f"{kind} {name}": fields
        for kind in HOLDERS
        for name, fields in said.get(kind, {}).items()  # one that was written before there was this kind has none
        if name != names.MARK
    }
    return {**objects, **{f"rules {rule['name']}": _placeless(rule) for rule in said["rules"]}}


def _placeless(rule: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in rule.items() if key != ASTRAY}


def _changes(was: Mapping[str, Any], now: Mapping[str, Any]) -> str:
    keys = [key for key in sorted({*was, *now}) if was.get(key) != now.get(key)]
    return "; ".join(f"{key} from {word_of(was.get(key))} to {word_of(now.get(key))}" for key in keys)


def _name(path: str) -> str:
    return clean(path.partition(" ")[2], 80)
