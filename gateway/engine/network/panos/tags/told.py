"""A difference as a plan that people read, and the state of the worker as `status`, metrics and pages tell it.

A plan has one step for each tag and what happens to it: thousands of users in one team are one sentence. Instants are
epoch seconds inside and ages outside.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from hashlib import blake2b
from typing import Any, Final, NamedTuple

from gateway.config.devices import Panos
from gateway.engine.network.panos import names
from gateway.engine.network.panos.device.userid import Entry, What
from gateway.engine.network.panos.membership import Membership
from gateway.engine.network.panos.tags.allowing import WORDS, some
from gateway.engine.network.panos.tags.capacity import capacity_of, capacity_remarks
from gateway.engine.network.panos.tags.delta import Delta, Wish, strangers
from gateway.engine.network.panos.tags.mapped import Met
from gateway.engine.network.panos.tags.mirror import Mirror
from gateway.engine.network.plans.plan import Kind, Outcome, Plan, Step
from gateway.engine.network.reconcile.standing import REMARKS, short, some_of

_SINGULAR: Final[Mapping[What, str]] = {What.ADDRESS: "address", What.USER: "user"}


class Sight(NamedTuple):
    """What was found when the wish was compared last. ``synced_s``: when there was nothing to do."""

    judged_s: float | None = None
    synced_s: float | None = None
    delta: Delta = Delta()
    remarks: tuple[str, ...] = ()

    def judged(self, now_s: float, delta: Delta, remarks: tuple[str, ...]) -> Sight:
        return Sight(now_s, now_s if delta.is_empty else self.synced_s, delta, remarks)

    def state(self, *, is_newest: bool) -> str:
        """``is_newest``: whether it was the newest wish that was compared."""
        return "unread" if self.judged_s is None else "in-step" if self.delta.is_empty and is_newest else "waiting"


def plan_of(device: Panos, version: str, delta: Delta, made: str, remarks: tuple[str, ...]) -> Plan:
    """For all environments of the device together: its ``environment`` is ""."""
    steps = (
        *_steps(Kind.REMOVE, "Takes", "from", delta.losses),
        *_steps(Kind.CHANGE, "Gives anew with another end", "to", delta.renewed),
        *_steps(Kind.ADD, "Gives", "to", delta.gains),
    )
    return Plan(device.name, "", made, version, fingerprint_of(delta), steps, remarks=remarks)


def outcome_of(device: str, rest: Delta) -> Outcome:
    """``rest``: what differs afterwards."""
    found = "all of it was taken" if rest.is_empty else "not all of it was taken, its standing names what"
    return Outcome(rest.is_empty, True, f"{device}: {found}", fingerprint=fingerprint_of(rest))


def fingerprint_of(delta: Delta) -> str:
    """The same while the same is to be done, whenever that is."""
    digest = blake2b(digest_size=12)
    for entries in delta:
        digest.update(repr(sorted((what.value, key, [tag for tag, _ in tags]) for what, key, tags in entries)).encode())
    return digest.hexdigest()


def _steps(kind: Kind, verb: str, word: str, entries: Iterable[Entry]) -> Iterator[Step]:
    about: dict[tuple[str, What], list[str]] = {}
    for what, key, tags in entries:
        for tag, _ in tags:
            if tag != names.WATERMARK:
                about.setdefault((tag, what), []).append(key)
    for (tag, what), keys in sorted(about.items()):
        count = f"{len(keys):,} {WORDS[what]}" if len(keys) > 1 else f"1 {_SINGULAR[what]}"
        sentence = f"{verb} `{tag}` {word} {count}: {some(sorted(keys))}."
        who = sorted(keys)
        yield Step(
            kind, f"{WORDS[what]} {tag}", sentence, before=who if kind is Kind.REMOVE else None,
            after=None if kind is Kind.REMOVE else who,
        )  # fmt: skip


def remarks_of(wanted: Membership | None, wish: Wish, mirror: Mirror, model: str, device: Panos) -> Iterator[str]:
    """What a reader should know beside the difference."""
    addresses, count = mirror.tables[What.ADDRESS], len(wish.tags[What.ADDRESS])
    if mirror.is_read and count:
        capacity = capacity_of(model, device.address_capacity)
        yield from capacity_remarks(addresses.keys, count, capacity, model)
    if others := strangers(wish, mirror.tables):
        yield f"{len(others)} carry tags with names of ours that we did not give ({some(others)}): find who did"
    if wish.unfit:
        yield f"{len(wish.unfit)} have names that cannot be written: {some([repr(each) for each in wish.unfit])}"
    if not addresses.is_whole:
        yield "it has more addresses than can be listed: tags that nobody wants any more may stay there"
    yield from wanted.remarks if wanted is not None else ()


def counted(device: Panos, delta: Delta, mirror: Mirror) -> dict[str, Any]:
    """For the log: what was told, how many of each."""
    return {
        "device": device.name, "revoked": len(delta.revoked), "lost": len(delta.losses),
        "renewed": len(delta.renewed), "given": len(delta.gains), "refused": len(mirror.refused),
    }  # fmt: skip


def facts_of(mirror: Mirror, sight: Sight, met: Met, now_s: float) -> dict[str, Any]:
    """JSON values; every key is always there."""
    delta, users = sight.delta, mirror.tables[What.USER].tags
    never = met.never(users)
    refused = [f"{key}: {refusal.why}" for (_, key), refusal in list(mirror.refused.items())[:REMARKS]]
    return {
        "addresses": len(mirror.tables[What.ADDRESS].tags), "users": len(users), "timed": len(mirror.ends),
        "registered": mirror.tables[What.ADDRESS].keys, "revocations": _tags(delta.revoked),
        "losses": _tags(delta.losses), "renewals": _tags(delta.renewed), "gains": _tags(delta.gains),
        "refused": len(mirror.refused), "refusals": list(map(short, refused)),
        "never_mapped": len(never), "never_mapped_first": never[:REMARKS], "never_mapped_fault": short(met.fault),
        "judged_age_s": _age(sight.judged_s, now_s), "synced_age_s": _age(sight.synced_s, now_s),
        "told": dict(mirror.told), "remarks": list(some_of(sight.remarks, REMARKS)),
    }  # fmt: skip


def _tags(entries: Sequence[Entry]) -> int:
    return sum(len(entry.tags) for entry in entries)


def _age(at_s: float | None, now_s: float) -> float | None:
    return None if at_s is None else round(max(0.0, now_s - at_s), 1)
