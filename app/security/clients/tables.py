"""The tables of the client database, as the newest migration leaves them.

Times are Unix seconds.
"""

from sqlalchemy import BigInteger, Boolean, CheckConstraint, Column, ForeignKey, Integer, MetaData, String, Table, Text, false

POSTGRES_SCHEMA = "assistant"
"""Where they stand on PostgreSQL."""
metadata = MetaData()

clients = Table(
    "clients",
    metadata,
    Column("client_id", String(32), primary_key=True),
    Column("secret_sha256", String(64), nullable=False),  # lower-case hex
    Column("roles", Text, nullable=False),  # separated by one space, as an OAuth scope is
    Column("disabled", Boolean, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("second_sha256", String(64), nullable=True),  # of a second secret that is live too
    Column("token_seconds", Integer, nullable=True),  # how long its tokens live, where it is set
    Column("rpm", Integer, nullable=True),  # its calls in a minute, where it is set
    Column("front_end", Boolean, nullable=False, server_default=false()),  # whether it may name users
)

keys = Table(
    "keys",
    metadata,
    Column("key_id", String(11), primary_key=True),
    Column("client_id", String(32), ForeignKey("clients.client_id"), nullable=False),
    Column("sha256", String(64), nullable=False),  # of the whole key, lower-case hex
    Column("roles", Text, nullable=False),  # as those of a client
    Column("name", Text, nullable=True),
    Column("rpm", Integer, nullable=True),
    Column("created_at", BigInteger, nullable=False),
    Column("expires_at", BigInteger, nullable=True),
    Column("expiry_noted", Boolean, nullable=False),  # whether its first use after that is recorded
)

revocations = Table(
    "revocations",
    metadata,
    Column("jti", String(32), primary_key=True),  # or the id of a key
    Column("expires_at", BigInteger, nullable=False),
    Column("revoked_at", BigInteger, nullable=False),
)

generation = Table(
    "generation",
    metadata,
    Column("id", Integer, CheckConstraint("id = 1", name="one_row"), primary_key=True),
    Column("value", BigInteger, nullable=False),
)
