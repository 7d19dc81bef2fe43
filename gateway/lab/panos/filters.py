"""The filter of a dynamic group: tags in single quotes, `and`, `or`, parentheses; `not` in address groups alone.

    filter = term *( "or" term )      term = factor *( "and" factor )
    factor = "(" filter ")" / "not" factor / "'" tag "'"

Tags compare without case. A tag without quotes is taken where it is one word, as the device takes it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection
from typing import Final

LONGEST: Final = 2047
TOKEN: Final = re.compile(r"\s*(?:'([^']*)'|([()])|([^\s()']+))")

Filter = Callable[[Collection[str]], bool]  # casefolded tags → a member


class BadFilter(ValueError):
    pass


def parse(text: str, *, negation: bool = True) -> Filter:
    """Raises `BadFilter` saying what cannot be read."""
    if len(text) > LONGEST:
        raise BadFilter(f"filter can be at most {LONGEST} characters, but current length: {len(text)}")
    tokens = _tokens(text)
    found = _either(tokens, negation)
    if tokens:
        raise BadFilter(f"unexpected {tokens[0][1]} in filter")
    return found


def _tokens(text: str) -> list[tuple[str, str]]:
    found, at = [], 0
    text = text.rstrip()
    while at < len(text):
        match = TOKEN.match(text, at)
        if match is None:
            raise BadFilter(f"cannot read {text[at : at + 20]!r} in filter")
        quoted, bracket, word = match.groups()
        if quoted is not None:
            found.append(("tag", quoted))
        elif bracket:
            found.append((bracket, bracket))
        elif word.casefold() in ("and", "or", "not"):
            found.append((word.casefold(), word))
        else:
            found.append(("tag", word))
        at = match.end()
    return found


def _either(tokens: list[tuple[str, str]], negation: bool) -> Filter:
    terms = [_both(tokens, negation)]
    while tokens and tokens[0][0] == "or":
        tokens.pop(0)
        terms.append(_both(tokens, negation))
    return terms[0] if len(terms) == 1 else lambda tags: any(term(tags) for term in terms)


def _both(tokens: list[tuple[str, str]], negation: bool) -> Filter:
    factors = [_factor(tokens, negation)]
    while tokens and tokens[0][0] == "and":
        tokens.pop(0)
        factors.append(_factor(tokens, negation))
    return factors[0] if len(factors) == 1 else lambda tags: all(factor(tags) for factor in factors)


def _factor(tokens: list[tuple[str, str]], negation: bool) -> Filter:
    if not tokens:
        raise BadFilter("filter ends too early")
    kind, text = tokens.pop(0)
    if kind == "tag":
        wanted = text.casefold()
        return lambda tags: wanted in tags
    if kind == "(":
        found = _either(tokens, negation)
        if not tokens or tokens.pop(0)[0] != ")":
            raise BadFilter("a parenthesis is not closed in filter")
        return found
    if kind == "not" and negation:
        inner = _factor(tokens, negation)
        return lambda tags: not inner(tags)
    raise BadFilter(f"unexpected {text} in filter")
