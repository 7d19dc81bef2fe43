"""Objects that a device has before anybody declares anything: certificates, keys, client SSL profiles.

What declarations of others refer to, and never bring with them. A profile that is there already, as after a restart
with saved configuration, is left as it is; files are always those that are named now.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

from cryptography import x509

from gateway.lab.bigip import objects
from gateway.lab.bigip.collections import CERTIFICATE, KEY
from gateway.lab.bigip.refusals import Json
from gateway.lab.bigip.unit import Unit

CLIENT_SSL: Final = "ltm/profile/client-ssl"
DOWNLOADS: Final = "file:/var/config/rest/downloads/"


def add_certificate(unit: Unit, name: str, certificate: Path, key: Path) -> None:
    """`/Common/NAME.crt`, `/Common/NAME.key`, and the client SSL profile `/Common/NAME` that shows them."""
    _add_file(unit, CERTIFICATE, f"{name}.crt", certificate)
    _add_file(unit, KEY, f"{name}.key", key)
    if unit.tree.find(CLIENT_SSL, f"/Common/{name}") is None:
        chain = {"name": name, "cert": f"/Common/{name}.crt", "key": f"/Common/{name}.key"}
        objects.create(unit.tree, CLIENT_SSL, {"name": name, "certKeyChain": [chain]})


def add_authority(unit: Unit, name: str, certificate: Path) -> None:
    """`/Common/NAME.crt`"""
    _add_file(unit, CERTIFICATE, f"{name}.crt", certificate)


def _add_file(unit: Unit, collection: str, name: str, file: Path) -> None:
    """Raises `OSError`, and `ValueError` for what is no certificate."""
    content = file.read_bytes()
    values: Json = {"sourcePath": DOWNLOADS + name}
    if collection == CERTIFICATE:
        values |= _told_of(content)
    unit.uploads[name] = content
    if unit.tree.find(collection, f"/Common/{name}") is None:
        objects.create(unit.tree, collection, {"name": name, **values})
    else:
        objects.change(unit.tree, collection, f"/Common/{name}", values)


def _told_of(content: bytes) -> Json:
    """As a device describes a certificate: its names and its end."""
    certificate = x509.load_pem_x509_certificate(content)
    end = certificate.not_valid_after_utc
    try:
        alternatives = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        names = [f"DNS:{name}" for name in alternatives.get_values_for_type(x509.DNSName)]
        names += [f"IP Address:{address}" for address in alternatives.get_values_for_type(x509.IPAddress)]
    except x509.ExtensionNotFound:
        names = []
    return {
        "subject": certificate.subject.rfc4514_string(),
        "issuer": certificate.issuer.rfc4514_string(),
        "subjectAlternativeName": ", ".join(names),
        "expirationDate": int(end.timestamp()),
        "expirationString": end.strftime("%b %d %H:%M:%S %Y GMT"),
    }
