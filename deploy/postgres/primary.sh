#!/bin/bash
# Run once by the image of PostgreSQL, before it listens: the role of the service, its two databases, and the standby's role.
set -euo pipefail
# Until the standby has connected for the first time, no commit can wait for it.
psql -v ON_ERROR_STOP=1 --username postgres \
  -v replication="$(cat /run/secrets/replication)" -v assistant="$(cat /run/secrets/assistant)" <<'SQL'
SET synchronous_commit = local;
CREATE ROLE replication LOGIN REPLICATION PASSWORD :'replication';
CREATE ROLE assistant LOGIN PASSWORD :'assistant';
CREATE DATABASE ledger;
CREATE DATABASE clients OWNER assistant;
SELECT pg_create_physical_replication_slot('standby');
SQL
echo "host replication replication all scram-sha-256" >> "$PGDATA/pg_hba.conf"
