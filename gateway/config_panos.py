"""`devices.panos` of `stagedoor.yaml`: PAN-OS firewalls and how they are reached. A model, its settings, their faults.

The API key is made at the firewall by its administrators, for an administrator of Stagedoor's own, and read from a file
each time. Where a firewall shows the certificate that it came with, that certificate is pinned: verification is never
off.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Annotated, Final

from pydantic import AfterValidator, BaseModel, Field

from gateway import config
from gateway.config_catalog import authorities_fault
from gateway.config_devices import Panos
from gateway.config_values import MAPPING, ManagementAddress, Name, Some, Text, not_empty, written
from gateway.secret_files import secret_fault
from policy.reading import Fault

if TYPE_CHECKING:
    from gateway.config_settings import Locate

UNITS: Final = 2  # of a pair
_PIN: Final = re.compile(r"(?:[0-9a-f]{2}:?){31}[0-9a-f]{2}\Z")
_VSYS: Final = re.compile(r"vsys[1-9][0-9]{0,2}\Z")
Said = tuple[tuple[str | int, ...], str, str]  # where below the device, message, what to do


def _pin(value: str) -> str:
    if not _PIN.match(value.lower()):
        hint = "write what `openssl x509 -noout -fingerprint -sha256` prints behind the `=`"
        raise ValueError(f"`{value[:80]}` is no SHA-256 of a certificate; {hint}")
    return value.lower().replace(":", "")


def _vsys(value: str) -> str:
    if not _VSYS.match(value):
        raise ValueError(f"`{value[:60]}` is no virtual system; write `vsys1`, its number and not its display name")
    return value


Pin = Annotated[
    str, AfterValidator(_pin), written("A certificate's SHA-256.", "[0-9A-Fa-f]{2}(:?[0-9A-Fa-f]{2}){31}")
]
Vsys = Annotated[str, AfterValidator(_vsys), written("A virtual system.", "vsys[1-9][0-9]{0,2}", "vsys1")]


class PanosModel(BaseModel):
    model_config = MAPPING

    name: Name
    """How commands, logs and metrics call this firewall, or pair."""
    units: Annotated[Some[ManagementAddress], Field(max_length=UNITS)]
    """Its management address; of a high-availability pair, both."""
    key_files: Some[Text]
    """Files with an API key and nothing else, readable by Stagedoor's user alone. Any of them counts: two while one
    takes the other's place."""
    ca: Text | None = None
    """PEM file with the authorities of the units' certificates. Default: the system's."""
    pins: Annotated[list[Pin], AfterValidator(not_empty)] | None = None
    """Instead of authorities: the SHA-256 of the certificates that the units show, any of them."""
    vsys: Vsys = "vsys1"
    """The virtual system."""
    concurrent: Annotated[int, Field(ge=1, le=5)] = 2
    """Calls at once to each unit; more than five slow down its administrators."""


def panos_settings(model: PanosModel, absolute: Callable[[str | None], str]) -> Panos:
    """``absolute`` makes a path of the file's folder whole."""
    return Panos(
        name=model.name,
        units=tuple(model.units),
        key_files=tuple(absolute(each) for each in model.key_files),
        ca=absolute(model.ca),
        pins=tuple(model.pins or ()),
        vsys=model.vsys,
        concurrent=model.concurrent,
    )


def panos_faults(settings: config.Settings, locate: Locate) -> list[Fault]:
    """What settings of firewalls mean together."""
    faults = []
    seen: dict[str, str] = {}
    for position, device in enumerate(settings.devices.panos):
        at = ("devices", "panos", position)
        for where, message, hint in _device_faults(device, seen):
            faults.append(Fault(locate((*at, *where)), f"PAN-OS `{device.name}`: {message}", hint))
    return faults


def _device_faults(device: Panos, seen: dict[str, str]) -> Iterator[Said]:
    for key in ("units", "key_files"):
        values = getattr(device, key)
        if twice := sorted({value for value in values if values.count(value) > 1}):
            yield (key,), f"`{twice[0]}` is listed twice in `{key}`", "list it once"
    if device.ca and device.pins:
        yield ("pins",), "`pins` and `ca` say two things about the same certificates", "leave one of them out"
    for unit in device.units:
        if (other := seen.setdefault(unit, device.name)) != device.name:
            hint = "list it once; two virtual systems of one firewall are not supported"
            yield ("units",), f"`{unit}` is a unit of `{other}` and of `{device.name}`", hint


def unusable_panos_files(settings: config.Settings, locate: Locate) -> list[Fault]:
    """A fault for every key and file of authorities that cannot be used."""
    faults = []
    for position, device in enumerate(settings.devices.panos):
        at = ("devices", "panos", position)
        for number, file in enumerate(device.key_files):
            if message := secret_fault(file):
                hint = "write the key into it, one line and nothing else"
                faults.append(Fault(locate((*at, "key_files", number)), message, hint))
            elif os.stat(file).st_mode & 0o077:
                message = f"`{file}` can be read by others than its owner"
                faults.append(Fault(locate((*at, "key_files", number)), message, f"`chmod 600 {file}`"))
        if device.ca and (message := authorities_fault(device.ca)):
            faults.append(Fault(locate((*at, "ca")), message, "put the certificates there in PEM"))
    return faults
