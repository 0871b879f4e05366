"""The table of the signed checkpoint, and the one way to change it."""

SIGNED_HEAD = r"""
CREATE TABLE audit.signed_head (
  is_the_only_one boolean PRIMARY KEY DEFAULT true CHECK (is_the_only_one),
  note bytea NOT NULL,
  size bigint NOT NULL,
  written_at timestamptz NOT NULL
);

CREATE FUNCTION audit.replace_signed_head(old bytea, new bytea) RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $body$
DECLARE
  new_size bigint := split_part(convert_from(new, 'UTF8'), E'\n', 2)::bigint;
BEGIN
  IF old IS NULL THEN
    INSERT INTO audit.signed_head (note, size, written_at) VALUES (new, new_size, clock_timestamp()) ON CONFLICT DO NOTHING;
  ELSE
    UPDATE audit.signed_head SET note = new, size = new_size, written_at = clock_timestamp() WHERE note = old AND size < new_size;
  END IF;
  RETURN FOUND;
END
$body$;
"""
