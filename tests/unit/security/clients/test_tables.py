"""The tables that the code knows are those that the migrations make."""

from __future__ import annotations

from pathlib import Path

from sqlalchemy.dialects.sqlite import dialect
from sqlalchemy.schema import CreateTable

from app.security.clients.database import connected
from app.security.clients.migrations import create_or_upgrade_database
from app.security.clients.tables import metadata

SCHEMA = {
    "clients": "client_id VARCHAR(32) NOT NULL, secret_sha256 VARCHAR(64) NOT NULL, roles TEXT NOT NULL, "
    "disabled BOOLEAN NOT NULL, created_at BIGINT NOT NULL, second_sha256 VARCHAR(64), token_seconds INTEGER, rpm INTEGER, "
    "front_end BOOLEAN DEFAULT 0 NOT NULL, PRIMARY KEY (client_id)",
    "keys": "key_id VARCHAR(11) NOT NULL, client_id VARCHAR(32) NOT NULL, sha256 VARCHAR(64) NOT NULL, roles TEXT NOT NULL, "
    "name TEXT, rpm INTEGER, created_at BIGINT NOT NULL, expires_at BIGINT, expiry_noted BOOLEAN NOT NULL, "
    "PRIMARY KEY (key_id), FOREIGN KEY(client_id) REFERENCES clients (client_id)",
    "revocations": "jti VARCHAR(32) NOT NULL, expires_at BIGINT NOT NULL, revoked_at BIGINT NOT NULL, PRIMARY KEY (jti)",
    "generation": "id INTEGER NOT NULL CONSTRAINT one_row CHECK (id = 1), value BIGINT NOT NULL, PRIMARY KEY (id)",
}
"""The columns of each table, as SQLite keeps them."""


def test_the_stored_tables_are_exactly_these(tmp_path: Path) -> None:
    path = tmp_path / "clients.sqlite3"
    create_or_upgrade_database(path)
    with connected(path, 1) as connection:
        made = connection.exec_driver_sql(
            "SELECT name, sql FROM sqlite_master WHERE type = 'table' AND name != 'alembic_version'"
        )
        stored = {name: " ".join(sql.split()) for name, sql in made}
    declared = {
        name: " ".join(str(CreateTable(table).compile(dialect=dialect())).split()) for name, table in metadata.tables.items()
    }
    assert stored == declared == {name: f"CREATE TABLE {name} ( {columns} )" for name, columns in SCHEMA.items()}
