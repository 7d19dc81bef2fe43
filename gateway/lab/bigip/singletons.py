"""What a unit says of itself: version, clock, readiness, licence, standing in its group, and who it is."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any, Final

from gateway.lab.bigip import availability
from gateway.lab.bigip.collections import COLLECTIONS
from gateway.lab.bigip.presenting import HOST, stats
from gateway.lab.bigip.refusals import Json
from gateway.lab.bigip.unit import VERSION, Unit

BUILD: Final = "0.0.2"
SETTINGS: Final = "sys/global-settings"  # may be written, too
DEVICE_INFO: Final = "/mgmt/shared/identified-devices/config/device-info"


def singletons_of(unit: Unit) -> Mapping[str, Callable[[], Json]]:
    """By path below `/mgmt/tm/`; all but the settings are for reading."""
    return {
        "sys/version": _version,
        "sys/clock": lambda: _clock(unit),
        "sys/ready": _ready,
        "sys/license": _license,
        SETTINGS: lambda: _single(SETTINGS, hostname=unit.hostname, **unit.settings),
        "sys/failover": lambda: _failover(unit),
        "cm/failover-status": lambda: availability.failover_status(unit.group, unit),
        "cm/sync-status": lambda: availability.sync_status(unit.group, unit),
        "util/available": dict,
    }


def module_of(name: str) -> Json:
    """What a module has: clients read the device's version off its link."""
    kinds = sorted({known.split("/")[1] for known in COLLECTIONS if known.startswith(f"{name}/")})
    items = [{"reference": {"link": f"{HOST}/mgmt/tm/{name}/{kind}?ver={VERSION}"}} for kind in kinds]
    link = f"{HOST}/mgmt/tm/{name}?ver={VERSION}"
    return {"kind": f"tm:{name}:{name}collectionstate", "selfLink": link, "items": items}


def device_info(unit: Unit) -> Json:
    """Of restjavad. `slots` are the volumes that software is installed on."""
    slot = {"volume": "HD1.1", "product": "BIG-IP", "version": VERSION, "build": BUILD, "isActive": True}
    return {
        "machineId": str(uuid.uuid5(uuid.NAMESPACE_DNS, unit.hostname)),
        "hostname": unit.hostname,
        "address": unit.address,
        "product": "BIG-IP",
        "platform": "Z100",
        "version": VERSION,
        "build": BUILD,
        "edition": "Final",
        "slots": [slot],
        "isIControlRestSupported": True,
        "icrdPort": 8110,
        "isClustered": False,
        "isVirtual": True,
        "managementAddress": unit.address,
        "mcpDeviceName": f"/Common/{unit.hostname}",
        "generation": 0,
        "lastUpdateMicros": 0,
        "kind": "shared:resolver:device-groups:deviceinfostate",
        "selfLink": HOST + DEVICE_INFO,
    }


def _single(name: str, **values: Any) -> Json:
    words = name.split("/")
    kind = ":".join(("tm", *words, f"{words[-1]}state"))
    return {"kind": kind, "selfLink": f"{HOST}/mgmt/tm/{name}?ver={VERSION}", **values}


def _figures(name: str, entries: Json) -> Json:
    words = name.split("/")
    kind = ":".join(("tm", *words, f"{words[-1]}stats"))
    link = f"{HOST}/mgmt/tm/{name}"
    return {"kind": kind, "selfLink": f"{link}?ver={VERSION}", "entries": stats(f"{link}/0", entries)}


def _version() -> Json:
    return _figures("sys/version", {"Build": BUILD, "Edition": "Final", "Product": "BIG-IP", "Version": VERSION})


def _clock(unit: Unit) -> Json:
    text = datetime.fromtimestamp(unit.now(), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    return _figures("sys/clock", {"fullDate": text})


def _ready() -> Json:
    return _figures("sys/ready", dict.fromkeys(("configReady", "licenseReady", "provisionReady"), "yes"))


def _license() -> Json:
    return _figures("sys/license", {"licensedVersion": VERSION, "registrationKey": "LAB", "platformId": "Z100"})


def _failover(unit: Unit) -> Json:
    word = "active" if unit.group.is_active(unit) else "standby"
    return {"kind": "tm:sys:failover:failoverstats", "selfLink": f"{HOST}/mgmt/tm/sys/failover?ver={VERSION}",
            "apiRawValues": {"apiAnonymous": f"Failover {word} for 0d 01:20:32\n"}}  # fmt: skip
