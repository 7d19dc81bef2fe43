"""A firewall as the controller holds it: the targets of its rules, who writes its tags, and what may be read of it.

Two administrators, two sets of connections: the one that writes tags may do nothing else, and the one that commits
makes one call at a time.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from gateway.config.devices import Panos
from gateway.engine.network.connection import Connection, Surroundings
from gateway.engine.network.desired import Desired
from gateway.engine.network.panos.device.units import Units
from gateway.engine.network.panos.feeding import recipe_of
from gateway.engine.network.panos.firewall import Firewall
from gateway.engine.network.panos.ruleless import RulelessTarget
from gateway.engine.network.panos.tags.worker import TagWorker
from gateway.engine.network.panos.target import PanosTarget


def connection_to_panos(device: Panos, around: Surroundings) -> Connection:
    """Opens nothing before it is asked."""
    units = Units(device)
    committing = Units(replace(device, key_files=device.rules_key_files or device.key_files, concurrent=1))
    tags = TagWorker(units, around.basis, around.now)
    targets = {
        each.environment: (PanosTarget if each.has_rules else RulelessTarget)(
            committing, each, around.fronts, around.state_folder, tags.has
        )
        for each in device.environments
    }

    made: dict[str, tuple[Desired, tuple[str, ...], Mapping[str, Any]]] = {}

    def content(desired: Desired) -> Mapping[str, Any]:
        """For readers, of whom there may be many: what was made of the same wish serves all."""
        name, met = desired.environment, around.addresses(desired.environment)
        held = made.get(name)
        if held is None or held[0] is not desired or held[1] != met:
            held = made[name] = desired, met, targets[name].content_of(desired)
        return held[2]

    def shut() -> frozenset[str]:
        overlay = around.overlay()
        return overlay.shut if overlay is not None else frozenset()

    async def close() -> None:
        await tags.close()
        await units.close()
        await committing.close()

    read = device.environments if device.readers.networks else ()
    feeds = {
        each.environment: recipe_of(device, each, around.fronts, around.addresses, around.known, shut) for each in read
    }
    firewall = Firewall(device, tags, content, around.known)
    return Connection(targets, close, feeds=feeds, firewall=firewall, tags=tags)
