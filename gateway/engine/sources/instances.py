"""What is told to the owner of a Component that says to be another one in its environment, and is not taken for it."""

from __future__ import annotations

from gateway.engine.sources.entities import Entity
from policy.facts import Instance
from policy.reading import Fault


def instance_faults(entity: Entity, instance: Instance | None, base: Entity | None) -> tuple[Fault, ...]:
    """``base``: the component that it names, None when the catalog has none of that name."""
    if instance is None or instance.agreed:
        return ()
    place = entity.place("instance-of")
    if base is None:
        message = f"unknown component `{instance.of}` in `instance-of`: no allow to it counts here"
        return (Fault(place, message, "name the Component that this one is an instance of", "warning"),)
    message = f"`{instance.of}` has another owner than its instance `{entity.ref}`: no allow to it counts here"
    return (Fault(place, message, "let one team own both", "warning"),)
