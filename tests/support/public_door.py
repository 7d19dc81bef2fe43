"""A door in front of one service that is open to anyone: for clients and suites that bring no token of their own."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from gateway import config
from policy.facts import Catalog, Exposure
from tests.support.door import RunningDoor, running_door, settings_for
from tests.support.small_catalog import NOWHERE, POLICY, publish, service

METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")


@contextmanager
def public_door(state: Path, upstream: str, hosts: Sequence[str]) -> Iterator[RunningDoor]:
    """A running door whose ``hosts`` all lead to ``upstream``, any path and method."""
    services = [
        service(f"s{number}", (upstream,), "everyone", exposures=(Exposure("prod", host, "/", (upstream,), NOWHERE),))
        for number, host in enumerate(hosts)
    ]
    catalog = Catalog(people={}, teams={}, services={each.ref: each for each in services})
    rule = {
        "allow": "anyone",
        "to": {"service": [each.title for each in services]},
        "in": ["prod"],
        "operations": [f"{method} /**" for method in METHODS],
        "because": "The suite brings nobody with it.",
    }
    environment = config.Environment("prod", hosts=tuple(hosts), upstreams=("127.0.0.0/8",))
    settings = settings_for(state, environments={"prod": environment})
    with running_door(
        state, publish=lambda folder: publish(folder, catalog, {**POLICY, "rules": [rule]}), settings=settings
    ) as door:
        yield door
