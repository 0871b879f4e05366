"""What machines that share a PostgreSQL database need: told of changes, and known to each other.

SQLite serves one machine, and needs none of it.
"""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"

TELL = """
CREATE FUNCTION tell_changed() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
    PERFORM pg_notify('assistant_changed', TG_TABLE_NAME);
    RETURN NULL;
END $$
"""


def upgrade() -> None:
    if op.get_context().dialect.name != "postgresql":
        return
    side_by_side = op.create_table(
        "side_by_side",
        sa.Column("id", sa.Integer, sa.CheckConstraint("id = 1", name="one_row"), primary_key=True),
        sa.Column("oldest_code", sa.String(32), nullable=False),  # the revision that the oldest release knows
    )
    op.bulk_insert(side_by_side, [{"id": 1, "oldest_code": revision}])
    op.create_table(
        "nodes",
        sa.Column("instance", sa.Integer, primary_key=True, autoincrement=False),  # the lock that its workers hold
        sa.Column("name", sa.String(64), nullable=False),
        sa.Column("version", sa.Text, nullable=False),
        sa.Column("started_at", sa.DateTime(timezone=True), nullable=False, server_default=sa.func.now()),
        sa.Column("fingerprints", sa.Text, nullable=False),  # of settings, as JSON
    )
    op.create_table(
        "breakers",
        sa.Column("server", sa.Text, primary_key=True),
        sa.Column("open_until", sa.DateTime(timezone=True), nullable=True),  # NULL: closed
        sa.Column("changed_by", sa.String(64), nullable=False),
        sa.Column("changed_at", sa.DateTime(timezone=True), nullable=False, server_default=sa.func.now()),
    )
    op.create_table(  # that may be continued, as digests
        "responses",
        sa.Column("n", sa.BigInteger, sa.Identity(), primary_key=True),
        sa.Column("owned", sa.LargeBinary, nullable=False, unique=True),
        sa.Column("seq", sa.BigInteger, nullable=False),
        sa.Column("hash", sa.String(64), nullable=False),
    )
    op.execute(TELL)
    for table in ("generation", "breakers", "nodes"):
        op.execute(
            f"CREATE TRIGGER tell_changed AFTER INSERT OR UPDATE ON {table} FOR EACH STATEMENT EXECUTE FUNCTION tell_changed()"
        )
