"""What a device would be told, from the operator's files alone: for `stagedoor bigip render` and pipelines.

Nothing is contacted and nothing is kept. Of a catalog that is read over its API, what the node in this state folder
remembers stands in; addresses are those that the node has given out, and those that it would give out next.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from gateway import config
from gateway.config.devices import Bigip, BigipEnvironment
from gateway.engine.network.alone import trouble_of
from gateway.engine.network.bigip.as3.apm import remarks_on
from gateway.engine.network.bigip.as3.assignment import Assignment, namesakes_of
from gateway.engine.network.bigip.as3.declaration import declaration_of, own_addresses
from gateway.engine.network.bigip.as3.lint import APPLICATIONS, MANY, faults_of
from gateway.engine.network.bigip.as3.names import MOST_APPLICATIONS
from gateway.engine.network.bigip.as3.schema import schema_faults
from gateway.engine.network.desired import Desired, desired_of
from gateway.engine.offline import compile_offline
from policy.reading import Fault


class Rendered(NamedTuple):
    """``faults``: why the declaration would not be sent; ``remarks``: what its reader should know beside it;
    ``trouble``: why it may lack hosts that the doors serve."""

    device: Bigip
    desired: Desired
    addresses: Mapping[str, str]
    declaration: dict[str, Any]
    faults: tuple[str, ...]
    remarks: tuple[str, ...]
    trouble: str


def served(settings: config.Settings, environment: str) -> list[tuple[Bigip, BigipEnvironment]]:
    """The device groups that serve an environment, each with what the environment is there."""
    return [
        (device, each)
        for device in settings.devices.bigip
        for each in device.environments
        if each.environment == environment
    ]


def render(
    settings: config.Settings, device: Bigip, environment: BigipEnvironment, now: int
) -> tuple[Rendered, tuple[Fault, ...]]:
    """The declaration, and the faults of the files that it is made from. ``now`` in epoch seconds. Raises `DeviceFault`
    when the node's memory of addresses, or the schema, cannot be used."""
    compilation = compile_offline(settings)
    desired = desired_of(environment.environment, compilation.base, compilation.published)
    addresses = Assignment(settings.state_folder).assign(device, environment, desired, now, keep=False)
    declaration = declaration_of(desired, device, environment, addresses)
    faults = (*faults_of(declaration), *schema_faults(declaration, device.as3_schema))
    remarks = (
        *_remarks(desired, environment, addresses),
        *remarks_on(environment, desired, own_addresses(desired, environment, addresses).keys()),
    )
    here = ("", environment.environment)
    said = tuple(fault for fault in compilation.faults if fault.environment in here)
    trouble = trouble_of(settings, compilation._replace(catalog_faults=said))
    return Rendered(device, desired, addresses, declaration, faults, remarks, trouble), said


def _remarks(desired: Desired, environment: BigipEnvironment, addresses: Mapping[str, str]) -> list[str]:
    remarks = []
    entities = {place.entity for place in desired.places}
    namesakes = namesakes_of(addresses.keys(), entities)
    remarks += [f"{each} gets no address: on the device it would be called like another" for each in sorted(namesakes)]
    if environment.addresses == "pool" and (without := sorted(entities - addresses.keys() - namesakes)):
        shown = ", ".join(without[:3]) + (", …" if len(without) > 3 else "")
        why = f"`networks` are full, or {MOST_APPLICATIONS:,} have one"
        remarks.append(f"{len(without)} of {len(entities)} components have no address: {shown}; {why}")
    for place in desired.places:
        is_own = place.address not in ("", environment.virtual_address)
        if is_own and addresses.get(place.entity) != place.address:
            why = "it is or was another's, or outside of `networks`"
            remarks.append(f"{place.entity} does not get {place.address}: {why}")
    if len(addresses) > APPLICATIONS:
        remarks.append(MANY.format(len(addresses)))
    return remarks
