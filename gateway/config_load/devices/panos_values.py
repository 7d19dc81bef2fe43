"""The values that `devices.panos` is made of: pins, zones, objects and rules of the firewall, ports, names of people.

Names that are written into requests are of few characters, none of which means anything there.
"""

from __future__ import annotations

import re
from typing import Annotated, Final

from pydantic import AfterValidator

from gateway.config_load.values import written
from gateway.user_names import parts_of

LONGEST_ZONE, LONGEST_NAME = 31, 63
_PIN: Final = re.compile(r"(?:[0-9a-f]{2}:?){31}[0-9a-f]{2}\Z")
_VSYS: Final = re.compile(r"vsys[1-9][0-9]{0,2}\Z")
_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_. -]*\Z")
_PORTS: Final = re.compile(r"(tcp|udp)/([0-9]{1,5})(?:-([0-9]{1,5}))?\Z")
_REF: Final = re.compile(r"(?:component|system):[a-z0-9-]+/[a-z0-9][a-z0-9_.-]*\Z")


def _pin(value: str) -> str:
    if not _PIN.match(value.lower()):
        hint = "write what `openssl x509 -noout -fingerprint -sha256` prints behind the `=`"
        raise ValueError(f"`{value[:80]}` is no SHA-256 of a certificate; {hint}")
    return value.lower().replace(":", "")


def _vsys(value: str) -> str:
    if not _VSYS.match(value):
        raise ValueError(f"`{value[:60]}` is no virtual system; write `vsys1`, its number and not its display name")
    return value


def _zone(value: str) -> str:
    if value.lower() == "any":
        raise ValueError("`any` is no zone; leave the zones out where all are meant")
    if len(value) > LONGEST_ZONE or not _NAME.match(value):
        raise ValueError(
            f"`{value[:60]}` is no zone; write its name, at most {LONGEST_ZONE} letters, digits and `_.- `"
        )
    return value


def _panos_name(value: str) -> str:
    if len(value) > LONGEST_NAME or not _NAME.match(value):
        hint = f"write its name, at most {LONGEST_NAME} letters, digits and `_.- `"
        raise ValueError(f"`{value[:80]}` names nothing on a firewall; {hint}")
    return value


def _ports(value: str) -> str:
    match = _PORTS.match(value)
    first = int(match[2]) if match else 0
    last = int(match[3] or first) if match else 0
    if match is None or not 0 < first <= last < 65536:
        raise ValueError(f"`{value[:60]}` is no port; write `tcp/5432`, or `udp/6000-6010`")
    return f"{match[1]}/{first}" if first == last else f"{match[1]}/{first}-{last}"


def _direct_ref(value: str) -> str:
    ref = value.lower()
    if not _REF.match(ref):
        raise ValueError(f"`{value[:80]}` is no component and no system; write `component:default/ledger-db`")
    return ref


def _user_name(value: str) -> str:
    try:
        parts_of(value)
    except ValueError as fault:
        raise ValueError(f"`{value[:80]}` {fault}") from None
    return value


_NAME_FORM = "[A-Za-z0-9][A-Za-z0-9_. -]*"
Pin = Annotated[str, AfterValidator(_pin), written("A certificate's SHA-256.", "[0-9A-Fa-f]{2}(:?[0-9A-Fa-f]{2}){31}")]
Vsys = Annotated[str, AfterValidator(_vsys), written("A virtual system.", "vsys[1-9][0-9]{0,2}", "vsys1")]
Zone = Annotated[str, AfterValidator(_zone), written("A zone.", _NAME_FORM, "untrust")]
PanosName = Annotated[str, AfterValidator(_panos_name), written("A name on the firewall.", _NAME_FORM, "to-siem")]
Ports = Annotated[
    str, AfterValidator(_ports), written("Protocol and port.", "(tcp|udp)/[0-9]{1,5}(-[0-9]{1,5})?", "tcp/5432")
]
DirectRef = Annotated[
    str, AfterValidator(_direct_ref),
    written("A component or a system.", r"[A-Za-z]+:[A-Za-z0-9-]+/[A-Za-z0-9][A-Za-z0-9_.-]*", "system:default/ledger"),
]  # fmt: skip
UserName = Annotated[
    str, AfterValidator(_user_name), written("A template.", r"[^{}]*(\{[^{}]+\}[^{}]*)+", "corp\\{metadata.name}")
]
