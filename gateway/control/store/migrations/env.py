"""What Alembic runs a step in: the connection, and the transaction, that `gateway.control.store.schema` opened."""

from __future__ import annotations

from alembic import context

from gateway.control.store.schema import VERSION_TABLE

context.configure(
    connection=context.config.attributes["connection"],
    version_table=VERSION_TABLE,
    transactional_ddl=True,
)
context.run_migrations()
