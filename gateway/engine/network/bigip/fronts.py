"""Which virtual server of a BIG-IP clients of each place meet: that of the environment, or the service's own."""

from __future__ import annotations

from collections.abc import Mapping

from gateway.config.devices import Bigip, BigipEnvironment
from gateway.engine.network.bigip.as3 import names
from gateway.engine.network.bigip.as3.declaration import own_addresses
from gateway.engine.network.desired import Desired
from gateway.engine.network.fronts import Front


def fronts_of(
    device: Bigip, environment: BigipEnvironment, desired: Desired, assigned: Mapping[str, str]
) -> tuple[Front, ...]:
    """In the order of the places. A place without any address is none; a service with an address of its own is met
    there, though the shared one would serve it too. ``assigned``: as `Assignment.assign` says."""
    own = own_addresses(desired, environment, assigned)
    tenant = names.tenant_name(device.tenant_prefix, environment.environment)
    found = []
    for place in desired.places:
        address = own[place.entity][0] if place.entity in own else environment.virtual_address
        if address:
            application = names.application_name(place.entity) if place.entity in own else names.SHARED
            found.append(
                Front(
                    place.entity, place.title, place.owner, place.host, place.path, address, environment.port,
                    f"/{tenant}/{application}/{names.SERVICE}",
                )
            )  # fmt: skip
    return tuple(found)
