"""The ledger's tables and functions. docs/explanation/postgres.md says why each is as it is.

Rows are only ever added. If each append changed a row, its old versions would stay for as long as a
dump of the database runs, and slow down every append. A writer has the lock on the table `gate`.
"""

from .nodes_schema import NODES
from .signed_head_schema import SIGNED_HEAD

VERSION = 1
"""Of the schema. A newer one is refused by older code."""
OWNER = "audit_owner"
PARTITION_RECORDS = 1_000_000

FENCED, STALE, NO_LOG, IS_BEGUN, BAD_BODY = "AU001", "AU002", "AU003", "AU004", "AU005"
"""The SQLSTATEs of refusals."""

TABLES = """
CREATE TABLE audit.ledger (version int NOT NULL, partition_records bigint NOT NULL, created_at timestamptz NOT NULL);
CREATE TABLE audit.gate ();
CREATE TABLE audit.lines (seq bigint NOT NULL, ends bigint NOT NULL, line bytea NOT NULL, PRIMARY KEY (seq))
  PARTITION BY RANGE (seq);
CREATE TABLE audit.partitions (first_seq bigint PRIMARY KEY, next_seq bigint NOT NULL);
CREATE TABLE audit.batches (
  last_seq bigint PRIMARY KEY, size bigint NOT NULL, hash text NOT NULL,
  writer uuid NOT NULL, number bigint NOT NULL, node text NOT NULL, at timestamptz NOT NULL, UNIQUE (writer, number)
);
CREATE INDEX batches_size ON audit.batches (size);
CREATE TABLE audit.epochs (
  node text, epoch bigint, incarnation bigint NOT NULL, since timestamptz NOT NULL,
  PRIMARY KEY (node, epoch), UNIQUE (node, incarnation)
);
CREATE TABLE audit.texts (sha256 bytea PRIMARY KEY, content bytea NOT NULL);
"""

ENTER = """
CREATE FUNCTION audit.enter(p_node text, p_incarnation bigint) RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $body$
DECLARE
  found bigint;
BEGIN
  LOCK TABLE audit.gate IN EXCLUSIVE MODE;
  SELECT epoch INTO found FROM audit.epochs WHERE node = p_node AND incarnation = p_incarnation;
  IF found IS NULL THEN
    SELECT coalesce(max(epoch), 0) + 1 INTO found FROM audit.epochs WHERE node = p_node;
    INSERT INTO audit.epochs VALUES (p_node, found, p_incarnation, clock_timestamp());
  END IF;
  RETURN found;
END
$body$;
"""

ADD_PARTITIONS = """
CREATE FUNCTION audit.add_partitions(p_up_to bigint) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $body$
DECLARE
  first bigint;
  step bigint;
  name text;
BEGIN
  SELECT partition_records INTO step FROM audit.ledger;
  LOOP
    SELECT coalesce(max(next_seq), 0) INTO first FROM audit.partitions;
    EXIT WHEN p_up_to < first;
    name := 'lines_' || first;
    EXECUTE format('CREATE TABLE audit.%I (LIKE audit.lines INCLUDING ALL)', name);
    EXECUTE format('ALTER TABLE audit.lines ATTACH PARTITION audit.%I FOR VALUES FROM (%s) TO (%s)', name, first, first + step);
    INSERT INTO audit.partitions VALUES (first, first + step);
  END LOOP;
END
$body$;
"""

APPEND = r"""
CREATE FUNCTION audit.append(
  p_node text, p_epoch bigint, p_writer uuid, p_number bigint, p_after bigint, p_begins boolean, p_bodies bytea[],
  OUT first_seq bigint, OUT last_seq bigint, OUT hashes text
)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $body$
DECLARE
  head audit.batches;
  body bytea;
  line bytea;
  prev text;
  stamp text;
  at timestamptz;
BEGIN
  PERFORM set_config('synchronous_commit', 'off', true);
  LOCK TABLE audit.gate IN EXCLUSIVE MODE;
  IF p_epoch > 0 AND p_epoch IS DISTINCT FROM (SELECT max(e.epoch) FROM audit.epochs e WHERE e.node = p_node) THEN
    RAISE EXCEPTION 'a newer service named % writes now', p_node USING ERRCODE = 'AU001';
  END IF;
  SELECT * INTO head FROM audit.batches b WHERE b.writer = p_writer AND b.number >= p_number ORDER BY b.number LIMIT 1;
  IF FOUND THEN
    IF head.number > p_number THEN
      RAISE EXCEPTION 'a later batch of this writer stands' USING ERRCODE = 'AU002';
    END IF;
    first_seq := head.last_seq - cardinality(p_bodies) + 1;
    last_seq := head.last_seq;
    SELECT string_agg(convert_from(substring(l.line FROM octet_length(l.line) - 66 FOR 64), 'UTF8'), '' ORDER BY l.seq)
      INTO hashes FROM audit.lines l WHERE l.seq BETWEEN append.first_seq AND append.last_seq;
    RETURN;
  END IF;
  SELECT * INTO head FROM audit.batches b ORDER BY b.last_seq DESC LIMIT 1;
  IF NOT FOUND THEN
    IF NOT p_begins THEN
      RAISE EXCEPTION 'no log was begun' USING ERRCODE = 'AU003';
    END IF;
    head.last_seq := -1; head.size := 0; head.hash := repeat('0', 64);
  ELSIF p_begins THEN
    RAISE EXCEPTION 'a log was begun already' USING ERRCODE = 'AU004';
  END IF;
  IF p_after <> head.last_seq THEN
    RETURN;
  END IF;
  first_seq := head.last_seq + 1;
  last_seq := head.last_seq + cardinality(p_bodies);
  IF last_seq >= (SELECT coalesce(max(p.next_seq), 0) FROM audit.partitions p) THEN
    PERFORM audit.add_partitions(last_seq);
  END IF;
  prev := head.hash;
  hashes := '';
  at := clock_timestamp();
  stamp := ',"timestamp":"' || to_char(at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') || '"';
  FOREACH body IN ARRAY p_bodies LOOP
    head.last_seq := head.last_seq + 1;
    line := convert_to('{"v":1,"seq":' || head.last_seq || stamp, 'UTF8') || body
      || convert_to(',"prev_hash":"' || prev || '"', 'UTF8');
    prev := encode(sha256(line), 'hex');
    line := line || convert_to(',"hash":"' || prev || E'"}\n', 'UTF8');
    IF octet_length(line) > 61440 OR position('\x0a'::bytea IN body) > 0 OR get_byte(body, 0) <> 44 THEN
      RAISE EXCEPTION 'this is no body of a record' USING ERRCODE = 'AU005';
    END IF;
    head.size := head.size + octet_length(line);
    hashes := hashes || prev;
    INSERT INTO audit.lines VALUES (head.last_seq, head.size, line);
  END LOOP;
  INSERT INTO audit.batches VALUES (last_seq, head.size, prev, p_writer, p_number, p_node, at);
END
$body$;
"""

BARRIER = """
CREATE FUNCTION audit.barrier(p_seq bigint, p_hash text) RETURNS boolean
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $body$
BEGIN
  PERFORM FROM audit.batches b WHERE b.last_seq = p_seq AND b.hash = p_hash;
  IF NOT FOUND THEN
    RETURN false;
  END IF;
  PERFORM FROM audit.lines l WHERE l.seq = p_seq AND substring(l.line FROM octet_length(l.line) - 66 FOR 64) = p_hash::bytea;
  IF FOUND THEN
    PERFORM pg_logical_emit_message(true, 'audit', '');
  END IF;
  RETURN FOUND;
END
$body$;
"""

KEEP_TEXT = """
CREATE FUNCTION audit.keep_text(p_content bytea) RETURNS void
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $body$
  INSERT INTO audit.texts VALUES (sha256(p_content), p_content) ON CONFLICT DO NOTHING;
  SELECT pg_logical_emit_message(true, 'audit', '');
$body$;
"""

CHANGES = """
CREATE FUNCTION audit.changes() RETURNS bigint
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $body$
  SELECT coalesce(sum(pg_stat_get_tuples_updated(c.oid) + pg_stat_get_tuples_deleted(c.oid) + c.relfilenode::bigint), 0)::bigint
  FROM pg_class c WHERE c.relnamespace = 'audit'::regnamespace AND c.relkind = 'r'
    AND (c.relname LIKE 'lines\\_%' OR c.relname = 'batches')
$body$;
"""

EVERYTHING = (TABLES, ENTER, ADD_PARTITIONS, APPEND, BARRIER, KEEP_TEXT, CHANGES, SIGNED_HEAD, NODES)
FOR_SERVICE = (
    "enter(text, bigint)",
    "append(text, bigint, uuid, bigint, bigint, boolean, bytea[])",
    "barrier(bigint, text)",
    "keep_text(bytea)",
    "changes()",
    "replace_signed_head(bytea, bytea)",
    "tell_node(int, text, text, text, int)",
)
"""The functions that the service may call, and besides them it may read."""
