"""The way to a device of the settings, by its vendor. Nothing of a vendor is loaded that is not used."""

from __future__ import annotations

from gateway.config.devices import Bigip
from gateway.engine.network.connection import Connection, Device, Surroundings


def connection_to(device: Device, around: Surroundings) -> Connection:
    """Opens nothing before it is asked. Raises whatever keeps it from being used."""
    if isinstance(device, Bigip):
        from gateway.engine.network.bigip.connection import connection_to_bigip

        return connection_to_bigip(device, around.state_folder, around.now)
    from gateway.engine.network.panos.connection import connection_to_panos

    return connection_to_panos(device, around)
