"""Sessions, one-time codes, ids seen once, pins, cuts, and the acts that nobody changes."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None

TEXT: sa.types.TypeEngine[str] = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")


def upgrade() -> None:
    _sessions()
    _once()
    _subjects()
    op.create_table(
        "acts",
        sa.Column("number", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("at", sa.BigInteger, nullable=False),
        *(sa.Column(name, TEXT, nullable=False) for name in ("by", "verb", "about", "because")),
    )
    _keep_acts()


def _sessions() -> None:
    op.create_table(
        "sessions",
        sa.Column("sid", TEXT, primary_key=True),
        *(sa.Column(name, TEXT, nullable=False) for name in ("issuer", "sub", "provider_sid", "ref")),
        *(sa.Column(name, sa.BigInteger, nullable=False) for name in ("signed_in", "seen", "until")),
        *(sa.Column(name, sa.BigInteger, nullable=False) for name in ("idle_s", "rest", "confirmed")),
        sa.Column("claims", TEXT, nullable=False),
        sa.Column("tokens", sa.LargeBinary, nullable=False),
        *(sa.Column(name, TEXT, nullable=False) for name in ("address", "agent")),
        sa.Column("version", sa.Integer, nullable=False),
        sa.Column("ended", sa.BigInteger),
        sa.Column("why", TEXT, nullable=False),
        *(sa.Column(name, sa.BigInteger, nullable=False) for name in ("over_at", "claimed_until")),
    )
    op.create_index("sessions_by_person", "sessions", ["issuer", "sub"])
    op.create_index("sessions_by_provider_session", "sessions", ["issuer", "provider_sid"])
    op.create_index("sessions_by_ref", "sessions", ["ref"])
    for column, condition in (("over_at", sa.text("ended IS NULL")), ("ended", sa.text("ended IS NOT NULL"))):
        op.create_index(
            f"sessions_by_{column}", "sessions", [column], sqlite_where=condition, postgresql_where=condition
        )


def _once() -> None:
    op.create_table(
        "codes",
        sa.Column("digest", sa.LargeBinary, primary_key=True),
        sa.Column("payload", sa.LargeBinary, nullable=False),
        sa.Column("until", sa.BigInteger, nullable=False),
    )
    op.create_table(
        "remembered",
        sa.Column("kind", TEXT, primary_key=True),
        sa.Column("id", TEXT, primary_key=True),
        sa.Column("until", sa.BigInteger, nullable=False),
    )
    for table in ("codes", "remembered"):
        op.create_index(f"{table}_by_until", table, ["until"])


def _subjects() -> None:
    op.create_table(
        "pins",
        sa.Column("issuer", TEXT, primary_key=True),
        sa.Column("ref", TEXT, primary_key=True),
        sa.Column("sub", TEXT, nullable=False),
        sa.Column("at", sa.BigInteger, nullable=False),
        sa.Column("by", TEXT, nullable=False),
    )
    op.create_table(
        "cuts",
        sa.Column("kind", TEXT, primary_key=True),
        sa.Column("ref", TEXT, primary_key=True),
        sa.Column("not_before", sa.BigInteger, nullable=False),
        sa.Column("because", TEXT, nullable=False),
        sa.Column("by", TEXT, nullable=False),
        sa.Column("lifted", sa.BigInteger),
    )


def _keep_acts() -> None:
    """Not even this program may change an act: the database itself refuses."""
    if op.get_bind().dialect.name == "sqlite":
        for verb in ("UPDATE", "DELETE"):
            op.execute(
                f"CREATE TRIGGER acts_no_{verb.lower()} BEFORE {verb} ON acts "
                "BEGIN SELECT RAISE(ABORT, 'acts are never changed'); END"
            )
        return
    op.execute(
        "CREATE FUNCTION acts_are_kept() RETURNS trigger LANGUAGE plpgsql AS "
        "$$ BEGIN RAISE EXCEPTION 'acts are never changed'; END $$"
    )
    op.execute(
        "CREATE TRIGGER acts_are_kept BEFORE UPDATE OR DELETE OR TRUNCATE ON acts "
        "FOR EACH STATEMENT EXECUTE FUNCTION acts_are_kept()"
    )
