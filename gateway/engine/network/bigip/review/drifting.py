"""How a device differs from what was applied to it, by kind, with a sentence each. No input and output, no clock.

Three values are shown: what the catalog wants, what was applied last, what the device says now. A drained member is
reported and stays drained; what monitors find is no drift.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from gateway.engine.network.bigip.as3.names import HOSTS, MARK, POLICY, SHARED
from gateway.engine.network.bigip.as3.records import policy_in
from gateway.engine.network.bigip.device.references import EXPIRES_SOON_D, ends
from gateway.engine.network.bigip.drains import drains_of, without_drains
from gateway.engine.network.bigip.objects import declared
from gateway.engine.network.bigip.review.comparison import Edit, Spellings, foreign
from gateway.engine.network.plans.phrases import count, some, word_of
from gateway.engine.network.plans.plan import Difference, Drift, Observed


def drifts(
    name: str,
    environment: str,
    version: str,
    wanted: Mapping[str, Any],
    applied: Any,
    observed: Observed,
    spellings: Spellings,
) -> Iterator[Drift]:
    """``wanted``: the tenant that the catalog asks for; ``applied``: the declaration applied last, None if never;
    ``version``: the policy that the doors serve."""
    content = observed.content
    last = applied.get(name) if isinstance(applied, dict) else None
    last = last if isinstance(last, dict) else None
    if content is None and not any(path.startswith(f"/{name}/") for path in observed.parts):
        if last is not None:
            said = f"The whole tenant `{name}` is gone from the device."
            yield Drift(Difference.GONE, f"/{name}", said, wanted, last, None)
        return
    tenant = content[name] if content is not None else {}
    yield from _replaced(name, wanted, last, applied, observed)
    yield from _edited(name, wanted, last or {}, spellings.edits(declared(name, tenant), observed.parts))
    for path in foreign(name, tenant, observed.parts):
        said = f"Somebody made `{path}` by hand in our tenant; the next change would delete it."
        yield Drift(Difference.FOREIGN, path, said, device=observed.parts[path])
    for path, state in drains_of(observed.parts).items():
        said = f"An operator drained `{path}` (`{state}`); it stays so until somebody enables it there."
        yield Drift(Difference.DRAINED, path, said, device=state)
    yield from _expiring(observed)
    path = f"/{name}/{SHARED}/{POLICY}"
    shown = observed.parts.get(path, {}).get("records")
    there = shown.get(environment, "") if isinstance(shown, dict) else policy_in(tenant, environment)
    if content is not None and there != version:
        said = f"The device names policy version {word_of(there)}, the doors serve {word_of(version)}."
        before = policy_in(last or {}, environment)
        yield Drift(Difference.VERSION, f"{path} {environment}", said, version, before or None, there or None)


def _replaced(
    name: str, wanted: Mapping[str, Any], last: Mapping[str, Any] | None, applied: Any, observed: Observed
) -> Iterator[Drift]:
    """Another writer declared over ours, or the tenant is not ours at all."""
    content = observed.content
    if content is None or not observed.ours:
        said = f"Tenant `{name}` does not carry our mark: somebody else's, or the mark was taken off."
        yield Drift(Difference.REPLACED, f"/{name}", said, wanted, last, content)
        return
    if last is None or without_drains(name, content[name]) == without_drains(name, last):
        return
    whose = content.get("id")  # of the last writer of any tenant
    by = "" if isinstance(whose, str) and whose.startswith(f"{MARK}:") else f" (the last one's id is {word_of(whose)})"
    odd = _paths(name, last, content[name])
    what = f": {count(len(odd), 'object')} differ, {some(odd)}" if odd else ""
    said = f"Another writer declared tenant `{name}` after us{by}{what}."
    pair = (applied.get("id") if isinstance(applied, dict) else None, whose)
    yield Drift(Difference.REPLACED, f"/{name}", said, None, *pair)


def _paths(name: str, one: Mapping[str, Any], other: Mapping[str, Any]) -> list[str]:
    a, b = declared(name, one), declared(name, other)
    return sorted(path for path in a.keys() | b.keys() if a.get(path) != b.get(path))


def _edited(name: str, wanted: Mapping[str, Any], last: Mapping[str, Any], found: Iterator[Edit]) -> Iterator[Drift]:
    """Objects that somebody changed or removed by hand, AS3 not knowing."""
    intent, before = declared(name, wanted), declared(name, last)
    for edit in found:
        catalog, last_part = intent.get(edit.path), before.get(edit.path)
        if edit.is_missing:
            said = f"Somebody removed `{edit.path}` by hand."
            yield Drift(Difference.MISSING, edit.path, said, catalog, last_part, None)
            continue
        if edit.key == "text":
            said = f"Somebody changed {some(_odd(edit.wanted, edit.there))} of iRule `{edit.path}`."
        elif edit.key == "records":
            said = _records_sentence(edit.path, edit.wanted, edit.there)
        else:
            said = f"Somebody changed {edit.key} of `{edit.path}` from {word_of(edit.wanted)} to {word_of(edit.there)}."
        pair = ((catalog or {}).get(edit.key), (last_part or {}).get(edit.key))
        yield Drift(Difference.EDITED, f"{edit.path} {edit.key}", said, pair[0], pair[1], edit.there)


def _odd(wanted: Mapping[str, str], there: Mapping[str, str]) -> list[str]:
    return sorted(key for key in wanted.keys() | there.keys() if wanted.get(key) != there.get(key))


def _records_sentence(path: str, wanted: Mapping[str, str], there: Mapping[str, str]) -> str:
    odd = _odd(wanted, there)
    what = "hosts" if path.endswith(f"/{HOSTS}") else "records"
    return f"Somebody changed {count(len(odd), 'record')} of the {what} in `{path}`: {some(odd)}."


def _expiring(observed: Observed) -> Iterator[Drift]:
    for path, part in sorted(observed.parts.items()):
        left = part.get("days left") if part.get("kind") == "certificate" else None
        if isinstance(left, int) and left < EXPIRES_SOON_D:
            said = f"Certificate `{path}` (`{part['setting']}`) {ends(left)}: renew it on the device."
            yield Drift(Difference.EXPIRING, path, said, device=left)
