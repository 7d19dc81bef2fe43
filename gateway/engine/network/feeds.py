"""Feeds: what devices and pipelines read by themselves, under the guards of an apply.

A feed is given whole or not at all. Content that takes nothing away is given at once and remembered, fsynced, as what
readers have. Content that takes away what a guarded apply would not (`guards`) is withheld with its reason until the
cause is mended or a person says that it is meant; so is anything made while the catalog publishes nothing, cannot be
believed or has not been read for long, and anything that the linter refuses. Withheld, and not the content of before:
whoever reads keeps what they have when they get an error, and would take an old list for a new one.

Made when it is asked for, from the wish that the devices of the same settings follow; `mode`, windows and tickets say
when *we* write to a device, and say nothing about who reads.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final, NamedTuple

from gateway import telemetry
from gateway.engine.network.controller import Controller
from gateway.engine.network.desired import Desired
from gateway.engine.network.documents import Document, Recipe, mark_of, size_fault
from gateway.engine.network.faults import DeviceFault
from gateway.engine.network.history.ledger import Applied, Ledger
from gateway.engine.network.history.trail import Untold
from gateway.engine.network.plans.guards import ENGINE, Basis, Consent, Lately, hindrances, present, removed
from gateway.engine.network.plans.plan import Observed, Plan
from gateway.engine.network.reconcile import Lane
from gateway.link import Message, PeerCredentials

TAKEN: Final = frozenset(("feed", "feeds", "accept_feed"))
FOLDER: Final = "feeds"
ACCEPTED: Final = "feed_accepted"
STALE_S: Final = 900.0  # since a followed catalog was read; what is older says little about what is gone since
NAMED: Final = 20

Key = tuple[str, str, str]  # vendor, device, environment


class Made(NamedTuple):
    """What one wish gives. ``fault``: why it is given to nobody."""

    desired: Desired
    recipe: Recipe
    beside: object
    content: Any
    documents: Mapping[str, Document]
    mark: str
    fault: str = ""


class Verdict(NamedTuple):
    """``code`` is "" where the documents are given; ``lost``: what they would take away. ``mark``: of the documents."""

    code: str
    why: str = ""
    mark: str = ""
    documents: Mapping[str, Document] = {}
    lost: tuple[str, ...] = ()


class Feeds:
    """``stale``: why the catalog was not read for too long, "" when it was."""

    def __init__(self, controller: Controller, state_folder: Path, stale: Callable[[], str] = lambda: "") -> None:
        self._controller = controller
        self._shelf = Ledger(state_folder, FOLDER)
        self._stale = stale
        self._made: dict[Key, Made] = {}
        self._accepted: dict[Key, str] = {}  # the mark that a person said yes to
        self._lately: dict[Key, Lately] = {}  # what readers lost without one
        self._judged: dict[Key, tuple[object, Verdict]] = {}
        self._said: dict[Key, tuple[str, str]] = {}  # code and reason that were told last

    async def answer(self, message: Message, peer: PeerCredentials) -> Message:
        """The answer to one of `TAKEN`."""
        if message["t"] == "feeds":
            return {"t": "feeds", "feeds": [_standing(key, await self._judge(key)) for key in self._keys()]}
        said = [message.get(name) for name in ("vendor", "device", "environment")]
        key: Key = (str(said[0]), str(said[1]), str(said[2]))
        if key not in self._keys():
            return {"t": message["t"], "code": "unknown", "why": "there is no such feed"}
        if message["t"] == "accept_feed":
            return await self._accept(key, str(message.get("mark", "")), peer)
        verdict = await self._judge(key)
        if verdict.code:
            return {"t": "feed", "code": verdict.code, "why": verdict.why}
        if message.get("mark") == verdict.mark:
            return {"t": "feed", "code": "", "mark": verdict.mark}
        documents = {name: list(document) for name, document in verdict.documents.items()}
        return {"t": "feed", "code": "", "mark": verdict.mark, "documents": documents}

    def withheld(self) -> list[dict[str, Any]]:
        """What is withheld since it was asked for last."""
        present_keys = frozenset(self._keys())
        return [
            {"vendor": vendor, "device": device, "environment": environment, "code": code, "why": why}
            for (vendor, device, environment), (code, why) in sorted(self._said.items())
            if code and (vendor, device, environment) in present_keys
        ]

    # === inside ===

    def _keys(self) -> list[Key]:
        recipes = self._controller.recipes
        return [
            (recipe.vendor, device, environment)
            for device, made in sorted(recipes.items())
            for environment, recipe in sorted(made.items())
        ]

    async def _judge(self, key: Key) -> Verdict:
        verdict = await self._verdict(key)
        before, _ = self._said.get(key, ("", ""))
        self._said[key] = (verdict.code, verdict.why)
        if verdict.code != before:
            telemetry.log(
                "feed_withheld" if verdict.code else "feed_given", level="warning" if verdict.code else "info",
                vendor=key[0], device=key[1], environment=key[2], code=verdict.code, why=verdict.why,
                mark=verdict.mark,
            )  # fmt: skip
        return verdict

    async def _verdict(self, key: Key) -> Verdict:
        """A node that does not lead weighs too, and gives nothing: what its catalog had counts when it is to lead."""
        verdict = await self._weighed(key)
        if not self._controller.leads:
            return Verdict("standby", "nodes share a database, and this one does not lead")
        return verdict

    async def _weighed(self, key: Key) -> Verdict:
        _, device, environment = key
        lane = self._controller.groups[device].lanes[environment]
        recipe = self._controller.recipes[device][environment]
        desired, basis = lane.desired, self._controller.basis
        if desired is None:
            return Verdict("unread", "nothing has been published since the engine began")
        if stale := self._stale():
            return Verdict("stale", stale)
        if not basis.services or not desired.places:
            where = environment if basis.services else "any environment"
            return Verdict("empty", f"the catalog publishes nothing in {where}, and an empty feed is never given")
        lately = self._lately.setdefault(key, Lately()).taken(self._controller.now())
        inputs = (desired, recipe, recipe.beside(), basis, lane.terms, lately, self._accepted.get(key, ""))
        kept = self._judged.get(key)
        if kept is not None and kept[0] == inputs:
            return kept[1]
        try:
            verdict: Verdict = await self._controller.blocking(self._weigh, key, lane, recipe, desired, basis)
        except DeviceFault as fault:
            return Verdict("unmade", str(fault))
        except OSError as fault:
            return Verdict("unkept", f"what is given could not be remembered: {fault.strerror or fault}")
        self._judged[key] = (inputs, verdict)
        if not verdict.code and self._accepted.get(key, "") == inputs[-1]:
            self._accepted.pop(key, None)  # a word counts once, and not for what comes back another day
        return verdict

    # === in a worker thread ===

    def _weigh(self, key: Key, lane: Lane, recipe: Recipe, desired: Desired, basis: Basis) -> Verdict:
        made = self._make(key, recipe, desired)
        if made.fault:
            return Verdict("unsound", made.fault, made.mark)
        given = Verdict("", "", made.mark, made.documents)
        before = self._shelf.read(key[1], key[2])
        if before is not None and before.digest == made.mark:
            return given
        is_meant = self._accepted.get(key) == made.mark
        if before is None and not is_meant:
            if self._shelf.holds(key[1], key[2]):
                why = f"what readers have cannot be read from `{self._shelf.path(key[1], key[2])}`"
                return Verdict("forgotten", why, made.mark)
            if basis.trouble:
                return Verdict("doubtful", f"hosts may be missing: {basis.trouble}", made.mark)
        if (found := self._against(key, lane, made, before, basis, is_meant)) is not None:
            return found
        by = "accepted" if is_meant else ENGINE
        self._shelf.write(
            key[1], key[2], Applied(made.content, made.mark, desired.version, "", self._controller.now(), by)
        )
        return given

    def _make(self, key: Key, recipe: Recipe, desired: Desired) -> Made:
        held, beside = self._made.get(key), recipe.beside()
        if held is not None and held.desired is desired and held.recipe is recipe and held.beside == beside:
            return held
        content = recipe.content(desired)
        faults = tuple(recipe.faults(content))
        documents = recipe.documents(content) if not faults else {}
        fault = "; ".join(faults[:NAMED]) if faults else size_fault(documents)
        made = self._made[key] = Made(
            desired, recipe, beside, content, documents, mark_of(documents), fault
        )  # fmt: skip
        return made

    def _against(
        self, key: Key, lane: Lane, made: Made, before: Applied | None, basis: Basis, is_meant: bool
    ) -> Verdict | None:
        """What the guards say to a change from what readers have; None where nothing stands against it, and it counts
        as done."""
        observed = Observed("", before.content if before is not None else None)
        steps_of = made.recipe.steps or lane.target.steps
        steps = tuple(steps_of(made.content, observed)) if before is not None else ()
        plan = Plan(key[1], key[2], "", made.desired.version, "", steps, made.content)
        terms = lane.terms._replace(mode="enforce", windows=(), ticket=False)  # of our own writes alone
        consent = Consent("a person", removals=True) if is_meant else Consent(ENGINE)
        held, now_s, lately = present(plan, observed, made.desired), self._controller.now(), self._lately[key]
        found = hindrances(plan, observed, (), held, terms, basis, consent, now_s, lately.taken(now_s))
        if found:
            return Verdict("held", "; ".join(each.why for each in found), made.mark, {}, removed(steps))
        if is_meant:
            lately.forget()
        else:
            lately.note(removed(steps), held, now_s)
        return None

    # === a person's word ===

    async def _accept(self, key: Key, mark: str, peer: PeerCredentials) -> Message:
        """Give what was withheld, as it was shown. Another content than that is not accepted."""
        changed = {"t": "accept_feed", "code": "changed", "why": "it is not what was shown: look again"}
        shown = await self._judge(key)
        if not shown.code or not mark or shown.mark != mark:
            return changed
        fields = {
            "vendor": key[0], "device": key[1], "environment": key[2], "mark": mark, "code": shown.code,
            "removed": list(shown.lost), "by": f"uid {peer.uid}",
        }  # fmt: skip
        try:
            await self._controller.blocking(self._controller.trail.note, ACCEPTED, fields)
        except Untold as fault:
            return {"t": "accept_feed", "code": "untold", "why": str(fault)}
        self._accepted[key] = mark
        verdict = await self._judge(key)
        if not verdict.code and verdict.mark != mark:
            return changed
        return {"t": "accept_feed", "code": verdict.code, "why": verdict.why, "mark": verdict.mark}


def stale_of(catalogs: Any) -> str:
    """Of what `Catalogs.status` says: why nobody knows what is gone since, "" where all is read."""
    for each in catalogs:
        age_s = each["age_s"]
        if age_s is None or (each["fault"] and age_s > STALE_S):
            when = "was never read by this process" if age_s is None else f"was last read {age_s:.0f} s ago"
            return f"catalog {each['name']} {when}: {each['fault'] or 'it is being read'}"
    return ""


def _standing(key: Key, verdict: Verdict) -> dict[str, Any]:
    vendor, device, environment = key
    return {
        "vendor": vendor, "device": device, "environment": environment, "code": verdict.code, "why": verdict.why,
        "mark": verdict.mark, "documents": sorted(verdict.documents), "lost": len(verdict.lost),
        "first": list(verdict.lost[:NAMED]),
    }  # fmt: skip
