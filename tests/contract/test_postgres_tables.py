"""What the migrations make on PostgreSQL, exactly: older and newer releases read it side by side."""

from __future__ import annotations

import re

from app.kit.postgres_url import PostgresUrl
from app.security.clients.database import connected
from app.security.clients.migrations import create_or_upgrade_database

from ..support.postgres_clients import new_url
from ..support.postgres_server import PostgresServer

TABLES = """
breakers: server text!, open_until timestamptz, changed_by varchar(64)!, changed_at timestamptz! = now()
clients: client_id varchar(32)!, secret_sha256 varchar(64)!, roles text!, disabled boolean!, created_at bigint!, \
second_sha256 varchar(64), token_seconds integer, rpm integer, front_end boolean! = false
generation: id integer! = nextval('generation_id_seq'::regclass), value bigint!
keys: key_id varchar(11)!, client_id varchar(32)!, sha256 varchar(64)!, roles text!, name text, rpm integer, created_at bigint!, \
expires_at bigint, expiry_noted boolean!
nodes: instance integer!, name varchar(64)!, version text!, started_at timestamptz! = now(), fingerprints text!
responses: n bigint! identity, owned bytea!, seq bigint!, hash varchar(64)!
revocations: jti varchar(32)!, expires_at bigint!, revoked_at bigint!
side_by_side: id integer! = nextval('side_by_side_id_seq'::regclass), oldest_code varchar(32)!
"""
"""Columns in their order; !: NOT NULL."""
CONSTRAINTS = """
breakers: PRIMARY KEY (server)
clients: PRIMARY KEY (client_id)
generation: PRIMARY KEY (id), one_row CHECK ((id = 1))
keys: FOREIGN KEY (client_id) REFERENCES clients(client_id), PRIMARY KEY (key_id)
nodes: PRIMARY KEY (instance)
responses: PRIMARY KEY (n), UNIQUE (owned)
revocations: PRIMARY KEY (jti)
side_by_side: PRIMARY KEY (id), one_row CHECK ((id = 1))
"""
TRIGGERS = """
BEFORE DELETE ON clients FOR EACH ROW EXECUTE FUNCTION client_deleted()
AFTER DELETE ON keys FOR EACH ROW EXECUTE FUNCTION key_deleted()
AFTER INSERT OR UPDATE ON breakers FOR EACH STATEMENT EXECUTE FUNCTION tell_changed()
AFTER INSERT OR UPDATE ON generation FOR EACH STATEMENT EXECUTE FUNCTION tell_changed()
AFTER INSERT OR UPDATE ON nodes FOR EACH STATEMENT EXECUTE FUNCTION tell_changed()
"""
OURS = "'assistant'::regnamespace"
COLUMNS_SQL = f"""
SELECT relname || ': ' || string_agg(
    attname || ' ' || format_type(atttypid, atttypmod) || CASE WHEN attnotnull THEN '!' ELSE '' END
    || CASE WHEN adbin IS NULL THEN '' ELSE ' = ' || pg_get_expr(adbin, adrelid) END
    || CASE attidentity WHEN '' THEN '' ELSE ' identity' END, ', ' ORDER BY attnum)
FROM pg_class JOIN pg_attribute ON attrelid = pg_class.oid AND attnum > 0
LEFT JOIN pg_attrdef ON adrelid = attrelid AND adnum = attnum
WHERE relnamespace = {OURS} AND relkind = 'r' AND relname != 'alembic_version' GROUP BY relname ORDER BY relname
"""
CONSTRAINTS_SQL = f"""
SELECT conrelid::regclass || ': ' || string_agg(said, ', ' ORDER BY said) FROM (
    SELECT conrelid, CASE contype WHEN 'c' THEN conname || ' ' ELSE '' END || pg_get_constraintdef(oid) AS said
    FROM pg_constraint WHERE connamespace = {OURS} AND contype != 'n' AND conrelid != 'alembic_version'::regclass
) AS every GROUP BY conrelid ORDER BY conrelid::regclass::text
"""
TRIGGERS_SQL = f"""
SELECT pg_get_triggerdef(pg_trigger.oid) FROM pg_trigger JOIN pg_class ON pg_class.oid = tgrelid
WHERE relnamespace = {OURS} AND NOT tgisinternal ORDER BY tgname, relname
"""


def lines(url: PostgresUrl, statement: str) -> list[str]:
    with connected(url, 5) as connection:
        found = [str(line) for line in connection.exec_driver_sql(statement).scalars()]
    return [line.replace("character varying", "varchar").replace("timestamp with time zone", "timestamptz") for line in found]


def test_the_stored_tables_are_exactly_these(postgres: PostgresServer) -> None:
    url = new_url(postgres)
    create_or_upgrade_database(url)
    assert lines(url, COLUMNS_SQL) == TABLES.strip().splitlines()
    assert lines(url, CONSTRAINTS_SQL) == CONSTRAINTS.strip().splitlines()
    triggers = [re.sub(r"^CREATE TRIGGER \w+ |(?<= ON )assistant\.", "", line) for line in lines(url, TRIGGERS_SQL)]
    assert triggers == TRIGGERS.strip().splitlines()
