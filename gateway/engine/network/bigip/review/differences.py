"""The steps between two declarations of one tenant, each in a sentence for somebody who reviews the change.

Removals first, then changes, then additions. A step says what happens, to whose hosts and of which component, and,
in `caution`, why to look twice. What changes every day and alters nothing on the device (the versions of rules) is
one step however many places it is about, so that the others are seen. No input and output, no clock.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any, Final

from gateway.engine.network.bigip.as3.names import HOSTS, POLICY, SHARED
from gateway.engine.network.bigip.objects import declared
from gateway.engine.network.bigip.review.change_steps import change_steps, is_mark
from gateway.engine.network.bigip.review.comparison import Spellings
from gateway.engine.network.bigip.review.host_steps import host_steps, policy_steps
from gateway.engine.network.bigip.review.object_steps import whole_step
from gateway.engine.network.bigip.review.scene import Scene
from gateway.engine.network.plans.phrases import clean, some, word_of
from gateway.engine.network.plans.plan import Kind, Step
from gateway.engine.network.transport.texts import shown

_ORDER: Final = {kind: number for number, kind in enumerate(Kind)}


def steps_between(
    name: str, environment: str, before: Mapping[str, Any], after: Mapping[str, Any], configured: Iterable[str] = ()
) -> tuple[Step, ...]:
    """``before`` and ``after``: the tenant ``name``, {} where there is none; ``configured``: members of the
    settings."""
    scene = Scene(name, environment, before, after, configured)
    steps: list[Step] = []
    for own in before.keys() | after.keys():
        old, new = before.get(own), after.get(own)
        if old == new:
            continue
        if _is_application(old) or _is_application(new):
            steps += _application_steps(scene, own, old or {}, new or {})
        elif after and own not in ("class", "remark", *(() if before else ("label",))):
            steps += change_steps(scene, f"/{name}", {"class": "Tenant", own: old}, {"class": "Tenant", own: new})
    return ordered([step for step in steps if not is_mark(step)] or steps)


def _is_application(value: object) -> bool:
    return isinstance(value, dict) and value.get("class") == "Application"


def _application_steps(scene: Scene, own: str, old: Any, new: Any) -> Iterator[Step]:
    folder = f"/{scene.tenant}/{own}"
    old, new = _members_of(old), _members_of(new)
    for name in old.keys() | new.keys():
        was, becomes = old.get(name), new.get(name)
        if was == becomes:
            continue
        path = f"{folder}/{name}"
        if own == SHARED and name == HOSTS:
            yield from host_steps(path, scene.environment, was, becomes)
        elif own == SHARED and name == POLICY:
            yield from policy_steps(path, scene.environment, was, becomes)
        elif not isinstance(was, dict) and not isinstance(becomes, dict):
            if new and name not in ("class", "label", "remark") and (old or not _is_usual(name, becomes)):
                pair = ({"class": "Application", name: was}, {"class": "Application", name: becomes})
                yield from change_steps(scene, folder, *pair)
        elif not isinstance(was, dict):
            yield whole_step(scene, Kind.ADD, path, becomes or {})
        elif not isinstance(becomes, dict):
            yield whole_step(scene, Kind.REMOVE, path, was)
        else:
            yield from change_steps(scene, path, was, becomes)


def _is_usual(name: str, value: object) -> bool:
    """Of an application that is new."""
    return name == "template" and value in ("generic", "shared")


def _members_of(application: object) -> Mapping[str, Any]:
    return application if isinstance(application, dict) else {}


def repairs(
    name: str,
    before: Mapping[str, Any],
    after: Mapping[str, Any],
    parts: Mapping[str, Mapping[str, Any]],
    spellings: Spellings,
) -> list[Step]:
    """Steps that set back what somebody did by hand to objects that stay as they are declared."""
    was, becomes = declared(name, before), declared(name, after)
    kept = {path: part for path, part in becomes.items() if path in was}
    return [
        _made_again(edit.path, kept[edit.path])
        if edit.is_missing
        else _set_back(edit.path, edit.key, edit.there, edit.wanted)
        for edit in spellings.edits(kept, parts)
        if edit.is_missing or was[edit.path].get(edit.key) == edit.wanted
    ]


def _made_again(path: str, part: Mapping[str, Any]) -> Step:
    kind = part["kind"]
    what = "Puts" if kind == "member" else "Makes"
    where = "back into its pool" if kind == "member" else "again"
    return Step(Kind.ADD, path, f"{what} `{path}` {where}: somebody removed it by hand.", after=dict(part))


def _set_back(path: str, key: str, there: Any, wanted: Any) -> Step:
    if isinstance(there, dict) and isinstance(wanted, dict):
        odd = sorted(one for one in there.keys() | wanted.keys() if there.get(one) != wanted.get(one))
        sentence = f"Sets {some(odd)} in the {key} of `{path}` back: somebody changed that by hand."
    else:
        sentence = f"Sets {key} of `{path}` back to {word_of(wanted)}: somebody made it {word_of(there)} by hand."
    return Step(Kind.CHANGE, path, sentence, before=there, after=wanted)


def deletions(foreign: Iterable[str]) -> list[Step]:
    """Whatever is sent, AS3 removes from a tenant what is not declared."""
    caution = "it is in no declaration of ours; move it to another partition if it is needed"
    return [
        Step(Kind.REMOVE, path, f"Deletes `{shown(path)}`, which somebody made by hand in our tenant.", caution=caution)
        for path in foreign
    ]


def ordered(steps: Iterable[Step]) -> tuple[Step, ...]:
    """In the order in which they are carried out, and read; with texts that can be shown."""
    made = sorted(steps, key=lambda step: (_ORDER[step.kind], step.object, step.sentence))
    return tuple(
        replace(step, object=clean(step.object), sentence=clean(step.sentence), caution=clean(step.caution))
        for step in made
    )
