#!/bin/bash
# A standby of the server `postgres`: copies it once, then follows it under the name that synchronous_standby_names has.
set -euo pipefail
export PGPASSFILE="$PGDATA.pgpass"
mkdir -p "$PGDATA"
chmod 0700 "$PGDATA"
(umask 077 && echo "postgres:5432:replication:replication:$(cat /run/secrets/replication)" > "$PGPASSFILE")
if [[ ! -s "$PGDATA/PG_VERSION" ]]; then
  pg_basebackup --dbname "host=postgres user=replication application_name=standby passfile=$PGPASSFILE" \
    --pgdata "$PGDATA" --write-recovery-conf --slot standby --checkpoint fast
fi
exec postgres -c max_connections=300
