"""What a caller must show beside being allowed: people in their sign-in, programs in their token and their call.

What the token or the call lacks is a requirement that is not met. Answers are in the words a client is told: ``mfa``,
``max_age=43200`` (RFC 9470), ``issuer=NAME,NAME``, ``network``, ``certificate``. Which networks are allowed stays
with the operators.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from typing import Final

from policy.facts import UNSEEN, Circumstances, Principal

PlainRequirement = tuple[str, str, int | str]  # kind of principal, name, argument
OF_THE_CALL: Final = frozenset({"network", "certificate"})  # requirements that a token alone never meets
OF_PROGRAMS: Final = OF_THE_CALL | {"issuer"}


def unmet(
    requirements: Iterable[PlainRequirement], who: Principal, now: int, call: Circumstances = UNSEEN
) -> tuple[str, ...]:
    """The requirements for this kind of principal that it does not meet; empty when it meets all."""
    return tuple(
        _demand(name, argument)
        for kind, name, argument in requirements
        if kind == who.kind and not _is_met(name, argument, who, now, call)
    )


def all_met(requirements: Iterable[PlainRequirement], who: Principal, now: int, call: Circumstances = UNSEEN) -> bool:
    """The same question as :func:`unmet`, for the hot path."""
    for kind, name, argument in requirements:
        if kind == who.kind and not ("mfa" in who.amr if name == "mfa" else _is_met(name, argument, who, now, call)):
            return False
    return True


def is_of_programs(need: Iterable[str]) -> bool:
    """Whether answers of :func:`unmet` are about a program: it cannot sign in again."""
    return any(each.partition("=")[0] in OF_PROGRAMS for each in need)


def in_words(need: Iterable[str]) -> str:
    """What is missing, scopes or the answers of :func:`unmet`, as a person reads it."""
    return ", ".join(map(_need_in_words, need))


def duration_text(seconds: int) -> str:
    """``12h`` for 43200."""
    for unit, size in (("d", 86400), ("h", 3600), ("m", 60)):
        if seconds % size == 0:
            return f"{seconds // size}{unit}"
    return f"{seconds}s"


def _need_in_words(need: str) -> str:
    name, _, argument = need.partition("=")
    if name == "max_age" and argument.isdecimal():
        return f"a sign-in in the last {duration_text(int(argument))}"
    if name == "issuer" and argument:
        return f"a token of issuer {argument.replace(',', ' or ')}"
    if need == "network":
        return "an address in an allowed network"
    return "a verified client certificate" if need == "certificate" else need


def _is_met(name: str, argument: int | str, who: Principal, now: int, call: Circumstances) -> bool:
    if name == "mfa":
        return "mfa" in who.amr
    if name == "fresh":
        # Half-open: twelve hours after the sign-in it is no longer fresh.
        return bool(who.auth_time) and now - who.auth_time < int(argument)
    if name == "issuer":
        return bool(who.issuer) and who.issuer in str(argument).split(",")
    if name == "network":
        return _is_within(call.address, str(argument))
    return name == "certificate" and call.certified


def _is_within(address: str, networks: str) -> bool:
    """Whether the address lies in one of the networks. An IPv4 address in its IPv6 form is the IPv4 address."""
    try:
        parsed = ip_address(address)
    except ValueError:  # a Unix socket has none
        return False
    mapped = getattr(parsed, "ipv4_mapped", None)
    parsed = mapped if mapped is not None else parsed
    return any(parsed in network for network in _networks(networks) if network.version == parsed.version)


@lru_cache(256)
def _networks(text: str) -> tuple[IPv4Network | IPv6Network, ...]:
    """The networks of a requirement; none of them when one is unreadable."""
    try:
        return tuple(map(ip_network, text.split(",")))
    except ValueError:
        return ()


def _demand(name: str, argument: int | str) -> str:
    if name == "fresh":
        return f"max_age={argument}"
    return f"{name}={argument}" if argument and name not in OF_THE_CALL else name
