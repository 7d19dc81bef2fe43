"""A door whose services ask for proof of who is asking: services, their upstream, and the door with its keys."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from policy.facts import Catalog, Exposure, Operation
from tests.support.door import LoopThread, until
from tests.support.door_sessions import SessionWorld, session_door
from tests.support.small_catalog import NOWHERE, service, small_catalog
from tests.support.upstream import Seen, Upstream

FIELD = "x-stagedoor-assertion"
THINGS = Operation("GET", "/things")


class Asked(NamedTuple):
    """A service: where people reach it, and what its entry opts into."""

    host: str
    options: frozenset[str] = frozenset({"assertion"})


def catalog_of(upstream: str, services: Mapping[str, Asked], operations: Sequence[Operation] = (THINGS,)) -> Catalog:
    """The small catalog, and these services behind ``upstream``, open to everybody in it."""
    small = small_catalog(upstream)
    more = [
        service(
            name, (upstream,), "everyone", options=asked.options, operations=tuple(operations), has_definition=True,
            exposures=(Exposure("prod", asked.host, "/", (upstream,), NOWHERE),),
        )
        for name, asked in services.items()
    ]  # fmt: skip
    return Catalog(small.people, small.teams, {**small.services, **{each.ref: each for each in more}})


@contextmanager
def running_upstream() -> Iterator[Upstream]:
    thread = LoopThread("upstream")
    made = Upstream(thread).start()
    try:
        yield made
    finally:
        made.stop()
        thread.close()


@contextmanager
def asserting_door(
    state: Path, catalog: Catalog, upstream: Upstream, policy: Mapping[str, Any]
) -> Iterator[SessionWorld]:
    """Once this is entered, the door has the keys that it signs with."""
    with session_door(state, catalog, upstream.url, policy=dict(policy)) as made:
        made.control.tell(made.control.key_message())
        until(lambda: b"kid" in made.door.door.following.assertions.jwks)
        yield made


def told(seen: Seen) -> list[str]:
    """The assertions in what the upstream saw."""
    return [value for name, value in seen.headers if name.lower() == FIELD]
