"""`readers` of a network device: who may read its feeds. A model, its settings, and what they mean together.

A feed names every host, owner and address of an environment, so nobody reads one who was not named: without `readers`
there is none. An address alone is little proof where others share it; so the whole world, and an address that other
people's requests may come from, need a password or a certificate beside it.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from ipaddress import ip_network
from typing import Annotated, Final

from pydantic import AfterValidator, BaseModel

from gateway import config
from gateway.config.devices import Readers
from gateway.config_load.values import MAPPING, Network, Some, Text, not_empty, written
from gateway.secret_files import read_secret, secret_fault

SHORTEST: Final = 16  # characters of a password
WIDEST: Final = {4: 8, 6: 16}  # prefix lengths: what is wider than this is everybody
Said = tuple[tuple[str | int, ...], str, str]  # where below `readers`, message, what to do


def _username(value: str) -> str:
    if not value or ":" in value or not value.isascii() or not value.isprintable():
        raise ValueError(f"`{value[:60]}` is no user name for Basic; write letters and digits, without a colon")
    return value


def _certificate(value: str) -> str:
    if not value.isascii() or not value.isprintable() or not (value.startswith("dns:") or "://" in value):
        raise ValueError(f"`{value[:60]}` is no name of a certificate; write `dns:bigip.example.com`, or its URI")
    return value.lower() if value.startswith("dns:") else value


Username = Annotated[str, AfterValidator(_username), written("A user name.", "[!-9;-~]+", "bigip-dc1")]
CertificateName = Annotated[
    str, AfterValidator(_certificate), written("A name in a certificate.", "(dns:.+|.+://.+)", "dns:bigip.example.com")
]


class ReadersModel(BaseModel):
    model_config = MAPPING

    networks: Some[Network]
    """Where requests for this device's feeds come from."""
    username: Username | None = None
    """Of Basic, if the password is asked for beside the address; needs `password_files`."""
    password_files: Annotated[list[Text], AfterValidator(not_empty)] | None = None
    """Files with a password and nothing else. Any of them counts: two while one takes the other's place."""
    certificates: Annotated[list[CertificateName], AfterValidator(not_empty)] | None = None
    """Names, one of which the client's certificate must carry: `dns:NAME`, or a URI."""


def readers_settings(model: ReadersModel | None, absolute: Callable[[str | None], str]) -> Readers:
    if model is None:
        return Readers()
    return Readers(
        networks=tuple(model.networks),
        username=model.username or "",
        password_files=tuple(absolute(each) for each in model.password_files or ()),
        certificates=tuple(model.certificates or ()),
    )


def readers_faults(readers: Readers, settings: config.Settings) -> Iterator[Said]:
    if not readers.networks:
        return
    if not settings.central_host:
        message = "`readers` are of no use without `central_host`, where feeds are read"
        yield (), message, "set `central_host`, or leave them out"
    if bool(readers.username) != bool(readers.password_files):
        key = "username" if readers.username else "password_files"
        other = "password_files" if readers.username else "username"
        yield (key,), f"`{key}` is of no use without `{other}`", "say both, or neither"
    if readers.certificates and not any(_shows_certificates(each) for each in settings.listeners):
        message = "no listener learns which certificate a client has"
        yield ("certificates",), message, "set `direct` or `client_certificate_header` at one, with `tls.client_ca`"
    if not readers.username and not readers.certificates:
        yield from _open_faults(readers, settings)


def _open_faults(readers: Readers, settings: config.Settings) -> Iterator[Said]:
    """Where an address is all that is asked for."""
    hint = "name the device's own addresses, or ask for a password or a certificate too"
    for position, text in enumerate(readers.networks):
        network = ip_network(text)
        if network.prefixlen < WIDEST[network.version]:
            yield ("networks", position), f"`{text}` is nearly everybody", hint
            continue
        for listener in settings.listeners:
            for trusted in listener.trusted_peers:
                peers = ip_network(trusted)
                if peers.version == network.version and peers.overlaps(network):
                    message = (
                        f"`{text}` shares addresses with `{trusted}`, trusted peers of listener `{listener.name}`: "
                        "whose address they leave out of a request would be taken for the device"
                    )
                    yield ("networks", position), message, hint


def _shows_certificates(listener: config.Listener) -> bool:
    return listener.direct or bool(listener.client_certificate_header)


def unusable_password_files(readers: Readers) -> Iterator[Said]:
    for position, file in enumerate(readers.password_files):
        at = ("password_files", position)
        if message := secret_fault(file):
            yield at, message, "write the password into it, one line and nothing else"
        elif os.stat(file).st_mode & 0o077:
            yield at, f"`{file}` can be read by others than its owner", f"`chmod 600 {file}`"
        elif (length := len(read_secret(file))) < SHORTEST:
            message = f"the password in `{file}` has {length} characters, fewer than {SHORTEST}"
            yield at, message, "make one with `openssl rand -base64 24`"
