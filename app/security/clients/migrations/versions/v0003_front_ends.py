"""Front ends: clients that may name the users that they ask for."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    op.add_column("clients", sa.Column("front_end", sa.Boolean, nullable=False, server_default=sa.false()))
