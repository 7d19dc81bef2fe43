"""The fencing numbers of those who lead."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"

TEXT: sa.types.TypeEngine[str] = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")


def upgrade() -> None:
    op.create_table(
        "leaders",
        sa.Column("name", TEXT, primary_key=True),
        sa.Column("fence", sa.BigInteger, nullable=False),
        sa.Column("node", TEXT, nullable=False),
    )
