"""Reading what another role says: a role of another version may say less, or something else, and that is no fault."""

from __future__ import annotations

from gateway.link import Message


def text_in(said: Message, name: str) -> str:
    value = said.get(name)
    return value if isinstance(value, str) else ""


def number_in(said: Message, name: str) -> int | None:
    value = said.get(name)
    return value if type(value) is int else None


def amount_in(said: Message, name: str) -> float | None:
    value = said.get(name)
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None


def texts_of(said: object) -> tuple[str, ...]:
    return tuple(each for each in said if isinstance(each, str)) if isinstance(said, list) else ()


def objects_in(said: Message, name: str) -> list[Message]:
    value = said.get(name)
    return [each for each in value if isinstance(each, dict)] if isinstance(value, list) else []
