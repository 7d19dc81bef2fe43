"""What can go wrong with a database, and no value, statement or password in the words for it.

Drivers put parameters, rows and connection strings into their messages. Of what is about connecting their first line
passes; of everything else only its kind.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import asyncpg  # type: ignore[import-untyped]  # it ships no types
from sqlalchemy.exc import DBAPIError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as QueueTimeout

from gateway.errors import StagedoorError, StateError

PUBLIC: Final = "Stagedoor cannot reach its memory of sessions at the moment."
# SQLSTATE classes whose message is about the connection: 08 connection, 28 authorization, 3D no such database,
# 53 resources, 57 operator intervention (PostgreSQL, appendix A).
_SPOKEN: Final = ("08", "28", "3D", "53", "57")
_READ_ONLY: Final = "25006"  # what was the primary has become a standby
_LONGEST: Final = 200
ASYNCPG: Final = (asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError, OSError, TimeoutError)
_FOREIGN: Final = (SQLAlchemyError, sqlite3.Error, *ASYNCPG)


class StoreUnavailable(StagedoorError):
    """The database does not answer, or not in time. ``public`` may be shown to people."""

    public: Final = PUBLIC


class ConnectionLost(StoreUnavailable):
    """The connection is gone, or cannot be had."""


class SchemaUnknown(StateError):
    """The database was written by a newer program. This one must not start with it."""


class Unstorable(ValueError):
    """A value that not every database can keep. The words name the field, never the value."""


@contextmanager
def translated() -> Iterator[None]:
    """Whatever a driver raises is `StoreUnavailable`."""
    try:
        yield
    except _FOREIGN as error:
        kind = ConnectionLost if is_lost(error) else StoreUnavailable
        raise kind(scrubbed(error)) from None


def is_lost(error: BaseException) -> bool:
    """Whether it is about the connection rather than about what was asked over it."""
    if isinstance(error, DBAPIError) and error.connection_invalidated:
        return True
    origin = _origin(error)
    if isinstance(origin, asyncpg.PostgresError):
        state = str(origin.sqlstate or "")
        return state[:2] in _SPOKEN or state == _READ_ONLY
    return not isinstance(origin, (SQLAlchemyError, sqlite3.IntegrityError, sqlite3.ProgrammingError))


def scrubbed(error: BaseException) -> str:
    """What may be logged of it."""
    origin = _origin(error)
    if isinstance(origin, asyncpg.PostgresError):
        state = str(origin.sqlstate or "")
        return _first_line(origin) if state[:2] in _SPOKEN else f"{type(origin).__name__}, SQLSTATE {state or 'none'}"
    if isinstance(origin, sqlite3.DatabaseError) and not isinstance(origin, sqlite3.IntegrityError):
        return _first_line(origin)  # "database is locked", "disk I/O error", "file is not a database"
    if isinstance(origin, (TimeoutError, QueueTimeout)):
        return "no answer in time"
    if isinstance(origin, asyncpg.ClientConfigurationError):  # a file that `state.database` names
        return _first_line(origin)
    if isinstance(origin, ConnectionError) and origin.errno:
        return os.strerror(origin.errno).lower()
    if isinstance(origin, OSError) and origin.strerror:
        return origin.strerror[:_LONGEST].lower()
    if isinstance(origin, OSError):
        return "no connection"  # asyncio puts several into one, with their addresses
    return type(origin).__name__


def _origin(error: BaseException) -> BaseException:
    """The driver's own error, below what SQLAlchemy made of it."""
    while type(error).__module__.startswith("sqlalchemy."):
        inner = getattr(error, "orig", None) or error.__cause__
        if not isinstance(inner, BaseException) or inner is error:
            break
        error = inner
    return error


def _first_line(error: BaseException) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0][:_LONGEST]
