"""Whom we trust upstream: the TLS contexts for services, made from what the operator set, and refusals in plain words.

Verification is never off: the system's authorities or the operator's own, and always the name. A context is made
once per setting. Those that name files are made and checked by `Trust.checked` before a reload takes effect, so
a broken file changes nothing; the rest when first needed, in a thread, because reading the system's authorities
takes 45 ms.

TLS sessions are resumed where the upstream allows it, which spares both sides a signature. A resumed session is not
verified anew, so none is resumed later than `VERIFIED_S` after a handshake in which the certificate was seen.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable
from time import monotonic
from typing import Any, Final

from cachetools import LRUCache

from gateway.config import Settings, UpstreamTls

VERIFIED_S: Final = 600.0
SESSIONS: Final = 4096  # per context

# OpenSSL's X509_V_ERR_*: what a caller may know of it, which names no host.
_REFUSED: Final = {
    9: "certificate is not valid yet",
    10: "certificate has expired",
    18: "certificate is self-signed",
    19: "certificate is signed by an authority that is not trusted here",
    2: "certificate is signed by an authority that is not trusted here",
    20: "certificate is signed by an authority that is not trusted here",
    21: "certificate is signed by an authority that is not trusted here",
    23: "certificate is revoked",
    26: "certificate is not for a server",
    62: "certificate is for another name",
    64: "certificate is for another address",
}


class TrustFault(ValueError):
    """A file of TLS settings cannot be used. The message names it."""


class UpstreamContext(ssl.SSLContext):
    """A client context that offers the last session of the same server name. `asyncio` has no argument for it, but
    every handshake of its transports begins with `wrap_bio`."""

    def __init__(self, *_: object) -> None:
        self._clock: Callable[[], float] = monotonic
        self._sessions: LRUCache[str, tuple[float, ssl.SSLSession]] = LRUCache(SESSIONS)

    def wrap_bio(
        self,
        incoming: ssl.MemoryBIO,
        outgoing: ssl.MemoryBIO,
        server_side: bool = False,
        server_hostname: str | bytes | None = None,
        session: ssl.SSLSession | None = None,
    ) -> ssl.SSLObject:
        if session is None and isinstance(server_hostname, str):
            session = self._resumable(server_hostname)
        return super().wrap_bio(incoming, outgoing, server_side, server_hostname, session)

    def remember(self, server_name: str, connection: ssl.SSLObject) -> None:
        """Offer the session of ``connection``, over which something was read, to the next one."""
        session = connection.session if connection.context is self else None
        if session is None or not session.has_ticket:
            return
        verified_s = self._clock()
        if connection.session_reused:
            known = self._sessions.get(server_name)
            if known is None:
                return
            verified_s = known[0]
        self._sessions[server_name] = (verified_s, session)

    def _resumable(self, server_name: str) -> ssl.SSLSession | None:
        known = self._sessions.get(server_name)
        if known is None:
            return None
        if self._clock() - known[0] <= VERIFIED_S:
            return known[1]
        del self._sessions[server_name]
        return None


class Trust:
    """The contexts of one set of settings."""

    def __init__(self) -> None:
        self._contexts: dict[UpstreamTls, UpstreamContext] = {}
        self._being_made: dict[UpstreamTls, asyncio.Task[UpstreamContext]] = {}

    @classmethod
    def checked(cls, settings: Settings) -> Trust:
        """With a context for every setting that names files. Raises `TrustFault` for the first that cannot be used."""
        trust = cls()
        for environment in settings.environments.values():
            for service in environment.services.values():
                tls = contents_of(service.tls)
                if (tls.ca or tls.certificate) and tls not in trust._contexts:
                    trust._contexts[tls] = made(tls)
        return trust

    def at_hand(self, tls: UpstreamTls | None) -> UpstreamContext | None:
        return self._contexts.get(contents_of(tls))

    def remember(self, tls: UpstreamTls | None, server_name: str, connection: ssl.SSLObject | None) -> None:
        """Offer the session of ``connection`` to the next one of this setting and name, if it can be."""
        context = self.at_hand(tls)
        if context is not None and connection is not None:
            context.remember(server_name, connection)

    async def context(self, tls: UpstreamTls | None) -> UpstreamContext:
        """The context of a setting. Raises `TrustFault`."""
        tls = contents_of(tls)
        known = self._contexts.get(tls)
        if known is not None:
            return known
        making = self._being_made.get(tls)
        if making is None:
            making = asyncio.get_running_loop().create_task(asyncio.to_thread(made, tls))
            self._being_made[tls] = making
            making.add_done_callback(lambda done: self._took(tls, done))
        return await asyncio.shield(making)

    def _took(self, tls: UpstreamTls, making: asyncio.Task[UpstreamContext]) -> None:
        del self._being_made[tls]
        if not making.cancelled() and making.exception() is None:
            self._contexts[tls] = making.result()


def contents_of(tls: UpstreamTls | None) -> UpstreamTls:
    """What a context depends on: the name is each connection's own."""
    return UpstreamTls(tls.ca, tls.certificate, tls.key) if tls is not None else UpstreamTls()


def made(tls: UpstreamTls) -> UpstreamContext:
    """Reads the files. Raises `TrustFault`."""
    context = UpstreamContext(ssl.PROTOCOL_TLS_CLIENT)  # verifies certificate and name from the start
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if tls.ca:
        _read(f"`{tls.ca}`", "holds no certificate of an authority", context.load_verify_locations, tls.ca)
    else:
        context.load_default_certs(ssl.Purpose.SERVER_AUTH)
    if tls.certificate:
        files = f"`{tls.certificate}` and `{tls.key}`"
        # An encrypted key fails instead of asking at a terminal.
        _read(files, "are no certificate and its key", context.load_cert_chain, tls.certificate, tls.key, lambda: "")
    return context


def _read(files: str, otherwise: str, load: Callable[..., Any], *arguments: object) -> None:
    try:
        load(*arguments)
    except ssl.SSLError as fault:
        raise TrustFault(f"{files} {otherwise}: {fault.reason or 'broken, or the key has a password'}") from None
    except OSError as fault:
        raise TrustFault(f"{files} cannot be read: {fault.strerror}") from None
    except ValueError as fault:
        raise TrustFault(f"{files} {otherwise}: {fault}") from None


def public_reason(error: ssl.SSLError) -> str:
    """Why a handshake failed, for whoever sent the request."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"tls: {_REFUSED.get(error.verify_code, 'certificate is not accepted')}"
    return "tls: handshake failed"


def full_reason(error: ssl.SSLError) -> str:
    """The same for the operator's log: OpenSSL's own words too."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"{public_reason(error)} ({error.verify_message})"
    return f"tls: {getattr(error, 'reason', '') or error.strerror or 'handshake failed'}"
