"""Run by Alembic.

The caller has opened the connection, in a transaction that holds SQLite's write lock.
"""

from alembic import context

context.configure(connection=context.config.attributes["connection"])
context.run_migrations()
