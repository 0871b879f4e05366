"""API keys; a second secret and settings of a client."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    op.add_column("clients", sa.Column("second_sha256", sa.String(64), nullable=True))
    op.add_column("clients", sa.Column("token_seconds", sa.Integer, nullable=True))
    op.add_column("clients", sa.Column("rpm", sa.Integer, nullable=True))
    op.create_table(
        "keys",
        sa.Column("key_id", sa.String(11), primary_key=True),
        sa.Column("client_id", sa.String(32), sa.ForeignKey("clients.client_id"), nullable=False),
        sa.Column("sha256", sa.String(64), nullable=False),
        sa.Column("roles", sa.Text, nullable=False),
        sa.Column("name", sa.Text, nullable=True),
        sa.Column("rpm", sa.Integer, nullable=True),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.Column("expires_at", sa.BigInteger, nullable=True),
        sa.Column("expiry_noted", sa.Boolean, nullable=False),
    )
