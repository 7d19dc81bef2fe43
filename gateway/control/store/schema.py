"""Which schema a database has, and bringing it to the one this program knows: at every start, one program at a time.

A program reads every older schema by bringing it up to date, and never touches one that it does not know.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Final

from sqlalchemy import Connection, String, column, inspect, select, table, text

from gateway.control.store.faults import SchemaUnknown

VERSION_TABLE: Final = "stagedoor_schema"
MIGRATIONS: Final = Path(__file__).parent / "migrations"
_LOCK: Final = 0x5354_4147_4501  # advisory lock of PostgreSQL: who changes the schema


def bring_up_to_date(connection: Connection) -> bool:
    """Inside a transaction that may write: SQLite has one of these at a time, PostgreSQL is asked for a lock. Returns
    whether anything was to do. Raises `SchemaUnknown`."""
    if connection.dialect.name == "postgresql":
        connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _LOCK})
    if version_of(connection) == known_versions()[-1]:
        return False
    _upgrade(connection)
    return True


def version_of(connection: Connection) -> str:
    """The database's schema, "" where there is none yet. Raises `SchemaUnknown`."""
    if not inspect(connection).has_table(VERSION_TABLE):
        return ""
    statement = select(column("version_num", String)).select_from(table(VERSION_TABLE))
    found = connection.execute(statement).scalars().all()
    version = found[0] if len(found) == 1 else ""
    known = known_versions()
    if version in known:
        return version
    said = f"schema `{version[:20]}`" if version else "a schema without a version"
    raise SchemaUnknown(
        f"the database has {said}, and this program knows those up to `{known[-1]}`: "
        "start the newer Stagedoor that wrote it, or restore the backup from before the upgrade"
    )


@cache
def known_versions() -> tuple[str, ...]:
    """Oldest first, as the steps' files are called."""
    return tuple(sorted(path.name[1:5] for path in (MIGRATIONS / "versions").glob("v[0-9]*.py")))


def _upgrade(connection: Connection) -> None:
    from alembic import command  # costs a second of every start, and is needed in one of a hundred
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    command.upgrade(config, "head")
