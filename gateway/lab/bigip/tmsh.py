"""Reads a tmsh command as AS3 writes it: kind, path, and properties in the form of `translation`.

Words, quoted words and braces; which of the braces' contents are properties and which are names is told by the
template of the kind. Raises `ValueError` for what it cannot read.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

from gateway.lab.bigip.collections import COLLECTIONS
from gateway.lab.bigip.properties import BY_FLAG, quoted
from gateway.lab.bigip.refusals import Json
from gateway.lab.bigip.templates import MEMBER, TEMPLATES

TOKEN: Final = re.compile(r'\s*(?:(?P<brace>[{}])|"(?P<quoted>(?:[^"\\]|\\.)*)"|(?P<word>[^\s{}"]+))', re.DOTALL)
WAYS: Final = ("replace-all-with", "add", "delete", "modify")
VERBS: Final = ("create", "modify", "delete")


class Token(NamedTuple):
    text: str
    kind: str  # brace, quoted, word


@dataclass(frozen=True)
class Command:
    """``ways``: how a property's names are meant, by property, where it is not simply set."""

    verb: str
    kind: str  # "ltm pool"
    path: str
    properties: Json = field(default_factory=dict)
    ways: dict[str, str] = field(default_factory=dict)


def tokens_of(text: str) -> list[Token]:
    found: list[Token] = []
    at = 0
    text = text.rstrip()
    while at < len(text):
        match = TOKEN.match(text, at)
        if match is None:
            raise ValueError(f"cannot read {text[at : at + 40]!r}")
        kind = str(match.lastgroup)
        found.append(Token(match[kind].replace('\\"', '"') if kind == "quoted" else match[kind], kind))
        at = match.end()
    return found


def command_of(text: str) -> Command:
    """Of ``create ltm pool /t/app/p load-balancing-mode round-robin``."""
    tokens = tokens_of(text)
    verb = tokens[0].text
    if verb not in VERBS:
        raise ValueError(f"{verb} is no command that is known here")
    words = [token.text for token in tokens[1:]]
    for count in (4, 3, 2):
        if "/".join(words[:count]) in COLLECTIONS and len(words) > count:
            kind = " ".join(words[:count])
            reader = _Reader(tokens[2 + count :])
            properties = reader.properties(TEMPLATES.get(kind, {}))
            return Command(verb, kind, words[count], properties, reader.ways)
    raise ValueError(f"{' '.join(words[:3])} is no kind that is known here")


class _Reader:
    def __init__(self, tokens: Sequence[Token]) -> None:
        self._tokens = tokens
        self._at = 0
        self._depth = 0
        self.ways: dict[str, str] = {}

    def properties(self, template: Json) -> Json:
        """Up to the end, or to the brace that closes them."""
        found: Json = {}
        while not self._is_over():
            name = self._next().text
            if name in BY_FLAG:
                found[name] = " " if name == "vlans-disabled" else ""
            elif name == "monitor":
                self._monitor(found)
            else:
                found[name] = self._value(name, template.get(name))
        return found

    def _value(self, name: str, usual: Any) -> Any:
        token = self._next()
        if token.kind == "word" and token.text in WAYS and self._peek() == Token("{", "brace"):
            if self._depth == 0:
                self.ways[name] = token.text
            token = self._next()
        if token == Token("{", "brace"):
            self._depth += 1
            found = self._block(name, usual)
            self._depth -= 1
            self._next()
            return found
        if token.kind == "quoted":
            return quoted(token.text)
        if token.text == "none" and isinstance(usual, dict):
            return {}
        return int(token.text) if token.text.isdigit() and not isinstance(usual, str) else token.text

    def _block(self, name: str, usual: Any) -> Json:
        nested = isinstance(usual, dict) and any(not isinstance(value, dict) for value in usual.values())
        if nested or name == "fqdn":
            return self.properties(usual or {})
        return self._entries(MEMBER if name == "members" else {}, as_text=name in ("records", "metadata"))

    def _entries(self, template: Json, *, as_text: bool) -> Json:
        """Names, each with a block of properties or none."""
        found: Json = {}
        while not self._is_over():
            token = self._next()
            name = quoted(token.text) if token.kind == "quoted" and as_text else token.text
            found[name] = {}
            if self._peek() == Token("{", "brace"):
                self._next()
                self._depth += 1
                found[name] = {**template, **self.properties(template)}
                self._depth -= 1
                self._next()
        return found

    def _monitor(self, found: Json) -> None:
        """``min 1 of { /a /b }``, ``/a and /b``, ``default``, ``none``."""
        first = self._next().text
        if first == "min":
            found["minimumMonitors"] = int(self._next().text)
            self._next()
            self._next()
            found["monitor"] = self._entries({}, as_text=False)
            self._next()
            return
        names = [] if first == "none" else [first]
        while self._peek() == Token("and", "word"):
            self._next()
            names.append(self._next().text)
        found["monitor"] = {name: {} for name in names}

    def _is_over(self) -> bool:
        return self._at >= len(self._tokens) or self._tokens[self._at] == Token("}", "brace")

    def _peek(self) -> Token | None:
        return self._tokens[self._at] if self._at < len(self._tokens) else None

    def _next(self) -> Token:
        if self._at >= len(self._tokens):
            raise ValueError("the command ends too early")
        self._at += 1
        return self._tokens[self._at - 1]
