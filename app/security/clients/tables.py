"""The tables of the client database, as the newest migration leaves them.

Times are Unix seconds.
"""

from sqlalchemy import BigInteger, Boolean, CheckConstraint, Column, Integer, MetaData, String, Table, Text

metadata = MetaData()

clients = Table(
    "clients",
    metadata,
    Column("client_id", String(32), primary_key=True),
    Column("secret_sha256", String(64), nullable=False),  # lower-case hex
    Column("roles", Text, nullable=False),  # separated by one space, as an OAuth scope is
    Column("disabled", Boolean, nullable=False),
    Column("created_at", BigInteger, nullable=False),
)

revocations = Table(
    "revocations",
    metadata,
    Column("jti", String(32), primary_key=True),
    Column("expires_at", BigInteger, nullable=False),
    Column("revoked_at", BigInteger, nullable=False),
)

generation = Table(
    "generation",
    metadata,
    Column("id", Integer, CheckConstraint("id = 1", name="one_row"), primary_key=True),
    Column("value", BigInteger, nullable=False),
)
