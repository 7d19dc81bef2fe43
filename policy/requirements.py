"""What a sign-in must show. A claim that the token lacks is a requirement that is not met.

Answers are in the words a client is told: ``mfa``, ``max_age=43200`` (RFC 9470), ``issuer=NAME``.
"""

from __future__ import annotations

from collections.abc import Iterable

from policy.facts import Principal

PlainRequirement = tuple[str, str, int | str]  # kind of principal, name, argument


def unmet(requirements: Iterable[PlainRequirement], who: Principal, now: int) -> tuple[str, ...]:
    """The requirements for this kind of principal that it does not meet; empty when it meets all."""
    return tuple(
        _demand(name, argument)
        for kind, name, argument in requirements
        if kind == who.kind and not _is_met(name, argument, who, now)
    )


def all_met(requirements: Iterable[PlainRequirement], who: Principal, now: int) -> bool:
    """The same question as :func:`unmet`, for the hot path."""
    for kind, name, argument in requirements:
        if kind == who.kind and not ("mfa" in who.amr if name == "mfa" else _is_met(name, argument, who, now)):
            return False
    return True


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
    return f"a token of issuer {argument}" if name == "issuer" and argument else need


def _is_met(name: str, argument: int | str, who: Principal, now: int) -> bool:
    if name == "mfa":
        return "mfa" in who.amr
    if name == "fresh":
        # Half-open: twelve hours after the sign-in it is no longer fresh.
        return bool(who.auth_time) and now - who.auth_time < int(argument)
    return name == "issuer" and who.issuer == argument


def _demand(name: str, argument: int | str) -> str:
    if name == "fresh":
        return f"max_age={argument}"
    return f"{name}={argument}" if argument else name
