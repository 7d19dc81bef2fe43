"""The tables as programs see them. How they came to be is in `migrations`; a test holds the two together."""

from __future__ import annotations

from typing import Final

from sqlalchemy import BigInteger, Column, Index, Integer, LargeBinary, MetaData, Table, Text, text
from sqlalchemy.types import TypeEngine

METADATA: Final = MetaData()
# Compared and ordered byte by byte on both databases, whatever the server's locale.
TEXT: Final[TypeEngine[str]] = Text().with_variant(Text(collation="C"), "postgresql")

LIVING: Final = text("ended IS NULL")
OVER: Final = text("ended IS NOT NULL")

sessions: Final = Table(
    "sessions",
    METADATA,
    Column("sid", TEXT, primary_key=True),
    Column("issuer", TEXT, nullable=False),
    Column("sub", TEXT, nullable=False),
    Column("provider_sid", TEXT, nullable=False),
    Column("ref", TEXT, nullable=False),
    Column("signed_in", BigInteger, nullable=False),
    Column("seen", BigInteger, nullable=False),
    Column("until", BigInteger, nullable=False),
    Column("idle_s", BigInteger, nullable=False),
    Column("rest", BigInteger, nullable=False),
    Column("confirmed", BigInteger, nullable=False),
    Column("claims", TEXT, nullable=False),  # JSON
    Column("tokens", LargeBinary, nullable=False),
    Column("address", TEXT, nullable=False),
    Column("agent", TEXT, nullable=False),
    Column("version", Integer, nullable=False),
    Column("ended", BigInteger),
    Column("why", TEXT, nullable=False),
    Column("over_at", BigInteger, nullable=False),  # the earlier of `until` and `seen` + `idle_s`
    Column("claimed_until", BigInteger, nullable=False),  # somebody refreshes it until then
    Index("sessions_by_person", "issuer", "sub"),
    Index("sessions_by_provider_session", "issuer", "provider_sid"),
    Index("sessions_by_ref", "ref"),
    Index("sessions_by_over_at", "over_at", sqlite_where=LIVING, postgresql_where=LIVING),
    Index("sessions_by_ended", "ended", sqlite_where=OVER, postgresql_where=OVER),
)

codes: Final = Table(
    "codes",
    METADATA,
    Column("digest", LargeBinary, primary_key=True),
    Column("payload", LargeBinary, nullable=False),
    Column("until", BigInteger, nullable=False),
    Index("codes_by_until", "until"),
)

remembered: Final = Table(
    "remembered",
    METADATA,
    Column("kind", TEXT, primary_key=True),
    Column("id", TEXT, primary_key=True),
    Column("until", BigInteger, nullable=False),
    Index("remembered_by_until", "until"),
)

pins: Final = Table(
    "pins",
    METADATA,
    Column("issuer", TEXT, primary_key=True),
    Column("ref", TEXT, primary_key=True),
    Column("sub", TEXT, nullable=False),
    Column("at", BigInteger, nullable=False),
    Column("by", TEXT, nullable=False),
)

cuts: Final = Table(
    "cuts",
    METADATA,
    Column("kind", TEXT, primary_key=True),
    Column("ref", TEXT, primary_key=True),
    Column("not_before", BigInteger, nullable=False),
    Column("because", TEXT, nullable=False),
    Column("by", TEXT, nullable=False),
    Column("lifted", BigInteger),
)

acts: Final = Table(
    "acts",
    METADATA,
    Column("number", BigInteger, primary_key=True, autoincrement=False),
    Column("at", BigInteger, nullable=False),
    Column("by", TEXT, nullable=False),
    Column("verb", TEXT, nullable=False),
    Column("about", TEXT, nullable=False),
    Column("because", TEXT, nullable=False),
)

leaders: Final = Table(
    "leaders",
    METADATA,
    Column("name", TEXT, primary_key=True),
    Column("fence", BigInteger, nullable=False),
    Column("node", TEXT, nullable=False),
)
