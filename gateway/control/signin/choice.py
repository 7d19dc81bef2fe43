"""Which provider a person signs in with: the only one; the one for the host they came from; the one for their e-mail
address; else they choose. An address chooses and proves nothing: who somebody is, the provider says.
"""

from __future__ import annotations

from collections.abc import Sequence

from gateway.config import Issuer

ADDRESS_LIMIT = 254


def choices(issuers: Sequence[Issuer], host: str) -> list[Issuer]:
    """Those that come into question for somebody from this host (without port; "" = none): one that names the host
    goes before those that name none; an exact name before a suffix, a longer suffix before a shorter one."""
    able = [each for each in issuers if each.client is not None]
    ranked = [(max((_rank(pattern, host) for pattern in _hosts(each)), default=0), each) for each in able]
    best = max((rank for rank, _ in ranked), default=0)
    if best > 0:
        return [each for rank, each in ranked if rank == best]
    return [each for each in able if not _hosts(each)] or able


def by_address(issuers: Sequence[Issuer], address: str) -> Issuer | None:
    """The one that names the address's domain. ASCII, one `@`: what can be read two ways is nobody's."""
    local, _, domain = address.strip().partition("@")
    if not local or not domain or "@" in domain or not address.isascii() or len(address) > ADDRESS_LIMIT:
        return None
    for issuer in issuers:
        if issuer.client is not None and domain.lower() in issuer.client.domains:
            return issuer
    return None


def _hosts(issuer: Issuer) -> tuple[str, ...]:
    return issuer.client.hosts if issuer.client is not None else ()


def _rank(pattern: str, host: str) -> int:
    """How closely it fits; 0 = not at all."""
    if pattern == host and host:
        return 1000
    suffix = pattern.removeprefix("*")
    return len(suffix) if suffix.startswith(".") and host.endswith(suffix) else 0
