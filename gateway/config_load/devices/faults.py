"""What settings of any network device mean together, whoever makes it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from gateway import config
from gateway.config.devices import Bigip, Panos
from gateway.config_load.devices.readers import readers_faults
from policy.reading import did_you_mean

Said = tuple[tuple[str | int, ...], str, str]  # where below the device, message, what to do
_LISTS: Final = {Bigip: ("units", "members"), Panos: ("units", "key_files", "rules_key_files")}


def shared_faults(device: Bigip | Panos, settings: config.Settings) -> Iterator[Said]:
    for key in _LISTS[type(device)]:
        values = getattr(device, key)
        if twice := sorted({value for value in values if values.count(value) > 1}):
            yield (key,), f"`{twice[0]}` is listed twice in `{key}`", "list it once"
    for where, message, hint in readers_faults(device.readers, settings):
        yield ("readers", *where), message, hint
    for environment in device.environments:
        if environment.environment not in settings.environments:
            hint = did_you_mean(environment.environment, settings.environments)
            hint = hint or f"known here: {', '.join(settings.environments)}"
            message = f"`{environment.environment}` is none of `environments`"
            yield ("environments", environment.environment), message, hint
