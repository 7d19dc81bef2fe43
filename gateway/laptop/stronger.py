"""A sign-in that is stronger or more recent than the one at hand: how a refusal asks for it (RFC 9470), and how an
issuer is asked for it.

The door speaks of strengths in its own word, `mfa`; the node tells command lines what an issuer calls a second factor.
Some issuers let `acr_values` choose the tenant, or another provider that signs people in. So nothing else of a
challenge goes to one, whoever wrote it, and the worst that a false one does is a sign-in too many.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Collection, Mapping
from datetime import datetime
from typing import Any, Final, NamedTuple

from gateway.laptop.places import Place, is_word
from policy.requirements import in_words

MFA: Final = "mfa"  # RFC 8176
MOST_WORDS: Final = 8
MOST_AGE_S: Final = 366 * 86400
UNMET: Final = "insufficient_user_authentication"
CLOCK_S: Final = 60  # how far clocks may differ
_AGE: Final = re.compile("[0-9]{1,9}")
_PARAMETER: Final = re.compile(r'\b([a-z_]+)="([^"\\]{0,2048})"')


class Wanted(NamedTuple):
    """``acr_values``: strengths of which one is wanted; ``max_age``: seconds, -1 = any; ``again``: a sign-in anew,
    however good the one before was."""

    acr_values: tuple[str, ...] = ()
    max_age: int = -1
    again: bool = False


NOTHING: Final = Wanted()


def wanted_by(challenge: str, mfa_acr_values: Collection[str] = ()) -> Wanted | None:
    """What the value of a `WWW-Authenticate` asks for (RFC 9470, 3), of what the node lists: `mfa`, and the issuer's
    words for it. None where another sign-in mends nothing."""
    pairs = _PARAMETER.findall(challenge)
    said = dict(pairs)
    if len(said) != len(pairs) or said.get("error") != UNMET:
        return None
    words = tuple(said.get("acr_values", "").split())
    age = said.get("max_age", "")
    if len(words) > MOST_WORDS or not all(map(is_word, words)) or (age and not _AGE.fullmatch(age)):
        return None
    words = tuple(each for each in words if each == MFA or each in mfa_acr_values)
    if int(age or 0) > MOST_AGE_S:
        return None
    return Wanted(words, int(age) if age else -1, True) if words or age else None


def parameters_of(wanted: Wanted, mfa_acr_values: tuple[str, ...]) -> dict[str, str]:
    """Of the authorization request. An issuer that has no word for a second factor is at least asked for a sign-in
    anew."""
    values = [value for each in wanted.acr_values for value in (mfa_acr_values if each == MFA else (each,))]
    asked: dict[str, str] = {}
    if values:
        asked["acr_values"] = " ".join(values)
    if wanted.max_age >= 0:
        asked["max_age"] = str(wanted.max_age)
    if wanted.max_age == 0 or (not values and (wanted.acr_values or (wanted.again and wanted.max_age < 0))):
        asked["prompt"] = "login"
    return asked


def told(wanted: Wanted) -> str:
    """As a person reads it: `mfa, a sign-in in the last 1h`."""
    return in_words((*wanted.acr_values, *([f"max_age={wanted.max_age}"] if wanted.max_age >= 0 else [])))


def command_for(place: Place, wanted: Wanted) -> str:
    """What somebody types to get it."""
    words = ["stagedoor", "login", str(place), "--again"]
    if wanted.acr_values:
        words += ["--acr-values", " ".join(wanted.acr_values)]
    if wanted.max_age >= 0:
        words += ["--max-age", str(wanted.max_age)]
    return shlex.join(words)


def lacking(wanted: Wanted, whoami: Mapping[str, Any], now: float) -> Wanted:
    """What of it a new token does not show, by what the node says of its bearer. ``now``: epoch seconds."""
    methods = whoami.get("amr")
    had = {*(each for each in methods if isinstance(each, str))} if isinstance(methods, list) else set()
    had |= {str(whoami.get("acr"))}
    words = wanted.acr_values if wanted.acr_values and had.isdisjoint(wanted.acr_values) else ()
    at = _instant(whoami.get("auth_time"))
    is_old = wanted.max_age >= 0 and (at is None or now - at > wanted.max_age + CLOCK_S)
    return Wanted(words, wanted.max_age if is_old else -1)


def _instant(said: Any) -> float | None:
    try:
        return datetime.fromisoformat(said).timestamp()
    except (TypeError, ValueError, OverflowError):
        return None
