"""What control knows of the node, for whoever asks over its socket. Ages are seconds; what nobody knows is null.

A worker's numbers are those of its last message, a second ago at most while it is well; ``heard_age_s`` says how long
ago that was, so that a worker that hangs does not look like one that is idle.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from gateway.control.admin import CatalogState, IssuerState
from gateway.control.doors import Follower
from gateway.counters import AUDIT_FAILED, AUDIT_QUEUED, CLOCK_AHEAD_S, DOWNSTREAM_OPEN, OVERLAY_AGE_S, SNAPSHOT_AGE_S


def follower_status(follower: Follower, now_s: float) -> dict[str, Any]:
    """``now_s``: the monotonic clock that noted when it was heard."""
    values = follower.values
    numbers = {
        "connections": values[DOWNSTREAM_OPEN] if values else None,
        "snapshot_age_s": values[SNAPSHOT_AGE_S] if values else None,
        "overlay_age_s": values[OVERLAY_AGE_S] if values else None,
        "audit_queued": values[AUDIT_QUEUED] if values else None,
        "audit_failing": bool(values[AUDIT_FAILED]) if values else None,
        "longest_stall_ms": max(follower.stalls_us) / 1000 if follower.stalls_us else None,
        "clock_ahead_s": values[CLOCK_AHEAD_S] if values else None,
        "heard_age_s": round(now_s - follower.heard_s, 1) if values else None,
    }
    return {
        "role": follower.role,
        "slot": follower.slot,
        "pid": follower.pid,
        "base": follower.base,
        "seq": follower.seq,
        **(numbers if follower.role == "door" else {}),
    }


def catalog_states(said: Iterable[dict[str, Any]]) -> list[CatalogState]:
    """What the engine says of its catalogs, read with care: it may be of another version."""

    def amount(each: dict[str, Any], name: str) -> float | None:
        value = each.get(name)
        return float(value) if isinstance(value, int | float) else None

    return [
        CatalogState(
            str(each.get("name", "")), int(amount(each, "entities") or 0), amount(each, "age_s"),
            amount(each, "delay_s"), str(each.get("fault", "")),
        )
        for each in said
    ]  # fmt: skip


def issuer_status(issuers: Iterable[IssuerState]) -> list[dict[str, Any]]:
    return [
        {
            "name": issuer.name,
            "keys": issuer.keys,
            "age_s": int(issuer.age_s) if issuer.keys else None,
            "fault": issuer.fault,
        }
        for issuer in issuers
    ]
