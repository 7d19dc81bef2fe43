"""TLS on both sides of a virtual server, as its profiles say, with the files that were put on the device.

A certificate object names an uploaded file by its `sourcePath`. Keys reach OpenSSL through memory, never a disk.
"""

from __future__ import annotations

import os
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from gateway.lab.bigip.collections import CERTIFICATE, KEY
from gateway.lab.bigip.http_flow import Unanswered
from gateway.lab.bigip.refusals import Json
from gateway.lab.bigip.unit import Unit

MOST_KEPT: Final = 100


class Secrecy:
    """One object as long as nothing changes: connections are kept by it."""

    def __init__(self) -> None:
        self._kept: dict[tuple[object, ...], ssl.SSLContext] = {}

    def towards_member(self, unit: Unit, profile: Json) -> ssl.SSLContext:
        """Of a server-ssl profile. Raises `Unanswered` where a file is missing that it needs."""
        paths = [str(profile.get(name, "")) for name in ("caFile", "cert", "key")]
        files = [_file(unit, path) for path in paths]
        key = (unit.hostname, profile["fullPath"], profile["generation"], *files)
        return self._kept_as(key) or self._keep(key, _towards_member(profile, paths, files))

    def towards_client(self, unit: Unit, profile: Json) -> ssl.SSLContext | None:
        """Of a client-ssl profile; None where the files of its certificate were never uploaded."""
        for chain in profile.get("certKeyChain", []):
            certificate, private = (_file(unit, str(chain.get(name, ""))) for name in ("cert", "key"))
            if certificate and private:
                key = (unit.hostname, profile["fullPath"], profile["generation"], certificate, private)
                return self._kept_as(key) or self._keep(key, _towards_client(certificate, private))
        return None

    def _kept_as(self, key: tuple[object, ...]) -> ssl.SSLContext | None:
        return self._kept.get(key)

    def _keep(self, key: tuple[object, ...], context: ssl.SSLContext) -> ssl.SSLContext:
        if len(self._kept) >= MOST_KEPT:
            self._kept.clear()
        self._kept[key] = context
        return context


def name_of(profile: Json) -> str | None:
    """Sent to the member, and looked for in its certificate where the profile wants one."""
    said = profile.get("authenticateName") or profile.get("serverName")
    return str(said) if said else None


def _towards_member(profile: Json, paths: list[str], files: list[bytes]) -> ssl.SSLContext:
    authority, certificate, private = files
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    if certificate and private:
        _load(context, certificate, private)
    if profile.get("peerCertMode") != "require":
        context.verify_mode = ssl.CERT_NONE
        return context
    if not authority:
        raise Unanswered(f"{paths[0]} has no uploaded file as its sourcePath")
    context.load_verify_locations(cadata=authority.decode())
    context.check_hostname = "authenticateName" in profile
    return context


def _towards_client(certificate: bytes, private: bytes) -> ssl.SSLContext:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    _load(context, certificate, private)
    return context


def _load(context: ssl.SSLContext, certificate: bytes, private: bytes) -> None:
    with _readable(certificate) as one, _readable(private) as other:
        try:
            context.load_cert_chain(one, other)
        except ssl.SSLError as error:
            raise Unanswered(f"a certificate and its key do not fit: {error}") from None


@contextmanager
def _readable(content: bytes) -> Iterator[str]:
    descriptor = os.memfd_create("pem", os.MFD_CLOEXEC)
    try:
        os.write(descriptor, content)
        yield f"/proc/self/fd/{descriptor}"
    finally:
        os.close(descriptor)


def _file(unit: Unit, path: str) -> bytes:
    held = unit.tree.find(CERTIFICATE, path) or unit.tree.find(KEY, path) or {}
    return unit.uploads.get(str(held.get("sourcePath", "")).rpartition("/")[2], b"")
