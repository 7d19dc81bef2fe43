"""Who may read a device's feeds: by the address that the door found, and a password or a certificate where one is
asked for.

A device that is told "wrong password" stops using what it has (PAN-OS does so with its lists), so nothing but a wrong
password is ever answered like one: a file of ours that cannot be read is a fault of ours.
"""

from __future__ import annotations

import hmac
from base64 import b64decode
from binascii import Error as Base64Error
from collections.abc import Sequence
from enum import Enum
from functools import lru_cache
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from typing import Final, NamedTuple

from gateway.config.devices import Readers
from gateway.egress.addresses import plain
from gateway.secret_files import read_secret

_BASIC: Final = "basic "
_LONGEST: Final = 8 * 1024


class Judgement(Enum):
    FOREIGN = "foreign"  # is told nothing
    CHALLENGED = "challenged"  # comes from where the device is, and shows no password that counts
    WELCOME = "welcome"


class Asker(NamedTuple):
    """A request. ``client``, ``certificate`` and ``is_https`` are the door's word, ``authorization`` anybody's."""

    client: str
    certificate: tuple[str, ...]
    is_https: bool
    authorization: Sequence[str]


def judged(readers: Readers, asker: Asker) -> Judgement:
    """Raises `OSError` or `ValueError` when a password file cannot be used and no other one decides."""
    if not _lies_in(asker.client, readers.networks):
        return Judgement.FOREIGN
    if readers.certificates and not set(readers.certificates).intersection(asker.certificate):
        return Judgement.FOREIGN
    if not readers.username:
        return Judgement.WELCOME
    if not asker.is_https:
        return Judgement.FOREIGN  # a password is neither asked for nor taken in the clear
    return Judgement.WELCOME if _knows_password(readers, asker.authorization) else Judgement.CHALLENGED


def _lies_in(client: str, networks: tuple[str, ...]) -> bool:
    try:
        address = plain(ip_address(client))
    except ValueError:
        return False
    return any(address in network for network in map(_network, networks) if network.version == address.version)


@lru_cache(1024)
def _network(text: str) -> IPv4Network | IPv6Network:
    return ip_network(text)


def _knows_password(readers: Readers, authorization: Sequence[str]) -> bool:
    shown = _credentials(authorization)
    if shown is None:
        return False
    faults: list[OSError | ValueError] = []
    for file in readers.password_files:
        try:
            wanted = f"{readers.username}:{read_secret(file)}".encode()
        except (OSError, ValueError) as fault:
            faults.append(fault)
            continue
        if hmac.compare_digest(shown, wanted):
            return True
    if faults:  # it may have been the one
        raise faults[0]
    return False


def _credentials(authorization: Sequence[str]) -> bytes | None:
    """`user:password` of one Basic field (RFC 7617)."""
    if len(authorization) != 1 or len(authorization[0]) > _LONGEST:
        return None
    field = authorization[0]
    if field[: len(_BASIC)].lower() != _BASIC:
        return None
    try:
        return b64decode(field[len(_BASIC) :].strip(), validate=True)
    except (Base64Error, ValueError):
        return None
