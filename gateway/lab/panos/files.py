"""Files that come and go: configurations and certificates brought in, what runs and certificates handed out.

A certificate is kept as text where a device keeps it; of its content only that it is one is looked at. The authorities
that a device trusts from the beginning are not here.
"""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final
from xml.etree.ElementTree import tostring

from gateway.lab.panos import saved
from gateway.lab.panos.admins import Admin
from gateway.lab.panos.answers import Answer, Declined, WebDeclined, element, result
from gateway.lab.panos.device import Device
from gateway.lab.panos.tree import Change
from gateway.lab.panos.xpath import find

NAME: Final = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._- "


@dataclass(frozen=True)
class Upload:
    name: str
    content: bytes


def bring(upload: Upload, device: Device, admin: Admin, parameters: Mapping[str, str]) -> Answer:
    """`type=import`. Raises `Declined` and `WebDeclined`."""
    category = parameters.get("category", "")
    if category == "configuration":
        saved.keep(device, upload.name, upload.content)
        return result(text=f"{upload.name} saved")
    if category != "certificate":
        raise WebDeclined(400, f'Invalid value "{category}" for parameter "category".')
    called = parameters.get("certificate-name", "")
    if not called or len(called) > 63 or set(called) - set(NAME):
        raise Declined(12, f" {called} is an invalid name")
    text = _certificate(called, parameters.get("format", ""), upload.content)
    device.refuse_write(admin, "shared")
    inside = element("entry", None, element("public-key", text), element("format", "PEM"), name=called)
    device.configuration.write(admin.name, [Change("set", _holder(device), tostring(inside, "unicode"))])
    return result(text=f"Successfully imported {called} into candidate configuration")


def _certificate(called: str, form: str, content: bytes) -> str:
    """Raises `Declined`."""
    if form != "pem":
        raise Declined(12, "format must be pem here")
    try:
        text = content.decode("ascii").strip()
        ssl.PEM_cert_to_DER_cert(text)
    except ValueError:
        raise Declined(12, f"Import of {called} failed. Unable to read certificate.") from None
    return text


def _holder(device: Device) -> str:
    return f"/config/{'panorama' if device.panorama else 'shared'}/certificate"


def hand_out(device: Device, _: Admin, parameters: Mapping[str, str]) -> Answer:
    """`type=export`. Raises `Declined` and `WebDeclined`."""
    category = parameters.get("category", "")
    if category == "configuration":
        return Answer(tostring(device.configuration.running))
    if category != "certificate":
        raise WebDeclined(400, f'Invalid value "{category}" for parameter "category".')
    called = parameters.get("certificate-name", "")
    found = [] if set(called) - set(NAME) else find(
        device.configuration.candidate, f"{_holder(device)}/entry[@name='{called}']/public-key"
    )  # fmt: skip
    if not found:
        raise Declined(7, f"certificate {called} not found")
    text = (found[0].node.text or "").encode()
    return Answer(text, kind="application/octet-stream", file=f"{called.lower()}.pem")
