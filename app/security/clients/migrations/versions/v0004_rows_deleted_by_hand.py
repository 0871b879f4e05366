"""A key or client whose row is deleted by hand: the key is revoked, in workers that know it too.

Nothing of ours deletes such rows. Who has the file may, and means to take access away.
"""

from alembic import op

revision = "0004"
down_revision = "0003"

NEVER = 2**53
KEY = f"""
CREATE TRIGGER key_deleted AFTER DELETE ON keys BEGIN
    INSERT OR IGNORE INTO revocations (jti, expires_at, revoked_at)
        VALUES (OLD.key_id, {NEVER}, CAST(strftime('%s', 'now') AS INTEGER));
    UPDATE generation SET value = value + 1;
END
"""  # noqa: S608 - a constant
CLIENT = "CREATE TRIGGER client_deleted AFTER DELETE ON clients BEGIN DELETE FROM keys WHERE client_id = OLD.client_id; END"


POSTGRES_KEY = f"""
CREATE FUNCTION key_deleted() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
    INSERT INTO revocations (jti, expires_at, revoked_at) VALUES (OLD.key_id, {NEVER}, extract(epoch FROM now())::bigint)
        ON CONFLICT DO NOTHING;
    UPDATE generation SET value = value + 1;
    RETURN OLD;
END $$
"""  # noqa: S608 - a constant
POSTGRES_CLIENT = """
CREATE FUNCTION client_deleted() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
    DELETE FROM keys WHERE client_id = OLD.client_id;
    RETURN OLD;
END $$
"""


def upgrade() -> None:
    if op.get_context().dialect.name == "postgresql":  # a client's keys go first: they refer to it
        op.execute(POSTGRES_KEY)
        op.execute(POSTGRES_CLIENT)
        op.execute("CREATE TRIGGER key_deleted AFTER DELETE ON keys FOR EACH ROW EXECUTE FUNCTION key_deleted()")
        op.execute("CREATE TRIGGER client_deleted BEFORE DELETE ON clients FOR EACH ROW EXECUTE FUNCTION client_deleted()")
        return
    op.execute(KEY)
    op.execute(CLIENT)
