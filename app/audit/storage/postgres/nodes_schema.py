"""The marks of the settings of the nodes that serve, where they share no other database."""

NODES = """
CREATE TABLE audit.nodes (instance int PRIMARY KEY, name text NOT NULL, version text NOT NULL, fingerprints text NOT NULL);

CREATE FUNCTION audit.tell_node(p_instance int, p_name text, p_version text, p_fingerprints text, p_locks int) RETURNS void
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $body$
  DELETE FROM audit.nodes WHERE instance NOT IN (
    SELECT objid::bigint FROM pg_locks WHERE locktype = 'advisory' AND classid::bigint = p_locks
      AND database = (SELECT oid FROM pg_database WHERE datname = current_database()));
  INSERT INTO audit.nodes VALUES (p_instance, p_name, p_version, p_fingerprints)
    ON CONFLICT (instance) DO UPDATE SET fingerprints = excluded.fingerprints;
  SELECT pg_notify('assistant_changed', 'nodes');
$body$;
"""
