"""What may go into a column, and what a row looks like when it comes out.

PostgreSQL refuses NUL in a text and SQLite takes it; both refuse half of a surrogate pair. Neither tells in time, so
it is refused here, by the field's name.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import fields
from typing import Any, Final

import orjson
from sqlalchemy import RowMapping

from gateway.control.store.faults import Unstorable
from gateway.control.store.rows import Act, Cut, Pin, Session

LONGEST: Final = 1024  # characters of a key: an index holds it, and a notice
LONGEST_TEXT: Final = 64 * 1024
LARGEST: Final = 2**53
_KEYS: Final = frozenset(("sid", "issuer", "sub", "provider_sid", "ref", "kind", "id"))


def is_storable(text: str) -> bool:
    return "\0" not in text and not any("\ud800" <= character <= "\udfff" for character in text)


def storable(values: Mapping[str, Any]) -> dict[str, Any]:
    """The same values. Raises `Unstorable`."""
    for name, value in values.items():
        if isinstance(value, str):
            if not is_storable(value):
                raise Unstorable(f"`{name}` holds a character that no text may hold")
            if len(value) > (LONGEST if name in _KEYS else LONGEST_TEXT):
                raise Unstorable(f"`{name}` is too long")
        elif isinstance(value, int) and not -LARGEST <= value <= LARGEST:
            raise Unstorable(f"`{name}` is no number that counts seconds")
    return dict(values)


def lookable(texts: Iterable[str]) -> list[str]:
    """Those that can be there at all, sorted: whoever locks several rows locks them in one order."""
    return sorted({text for text in texts if is_storable(text)})


_PLAIN: Final = tuple(each.name for each in fields(Session) if each.name != "claims")


def session_columns(session: Session) -> dict[str, Any]:
    """Raises `Unstorable`."""
    try:
        claims = orjson.dumps(dict(session.claims)).decode()
    except (TypeError, ValueError):
        raise Unstorable("`claims` is not what JSON can say") from None
    values = {name: getattr(session, name) for name in _PLAIN}
    over_at = min(session.until, session.seen + session.idle_s)
    return storable({**values, "claims": claims, "over_at": over_at})


def session_of(row: RowMapping) -> Session:
    return Session(claims=orjson.loads(row["claims"]), **{name: row[name] for name in _PLAIN})


def columns_of(row: Pin | Cut | Act) -> dict[str, Any]:
    """Raises `Unstorable`."""
    return storable({each.name: getattr(row, each.name) for each in fields(row)})
