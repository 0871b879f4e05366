"""Alembic runs this file. The caller brings an open connection, in a transaction that holds SQLite's write lock."""

from alembic import context

context.configure(connection=context.config.attributes["connection"])
context.run_migrations()
