"""Another log begins in one transaction, and the old one takes nothing any more."""

from __future__ import annotations

from contextlib import closing
from dataclasses import replace
from typing import Any

import psycopg
import pytest

from app.audit.log import AuditLog
from app.audit.storage.postgres.place import LedgerPlace
from app.audit.storage.postgres.store import PostgresStore
from app.errors import AuditCorrupt, AuditUnavailable, ConfigError

from .....support.ledger import ROLE
from .....support.stored_log import record, records, verify

Admin = psycopg.Connection[Any]


def test_the_service_may_not_begin_another_log(ledger: LedgerPlace) -> None:
    with closing(PostgresStore(replace(ledger, admin_url=None))) as store:
        AuditLog(store).create({})
        with pytest.raises(ConfigError, match="AUDIT_ADMIN_URL"):
            AuditLog(store).begin_another({})
        with closing(PostgresStore(replace(ledger, admin_url=ledger.url))) as other, pytest.raises(AuditUnavailable):
            AuditLog(other).begin_another({})
        assert verify(store) == 1


def test_the_old_log_has_no_functions_and_the_new_one_the_same_rights(ledger: LedgerPlace, admin: Admin) -> None:
    with closing(PostgresStore(ledger)) as store:
        AuditLog(store).create({})
        AuditLog(store).begin_another({})
        kept_as = records(store)[0]["details"]["previous"]["kept_as"]
    found = admin.execute("SELECT count(*) FROM pg_proc WHERE pronamespace = %s::regnamespace", [kept_as])
    assert found.fetchone() == (0,)
    right = admin.execute("SELECT has_function_privilege(%s, 'audit.keep_text(bytea)', 'EXECUTE')", [ROLE])
    assert right.fetchone() == (True,)


def test_a_service_of_the_old_log_adds_nothing_to_the_new_one(ledger: LedgerPlace) -> None:
    running = replace(ledger, node="one", incarnation=7)
    with closing(PostgresStore(running)) as service, closing(PostgresStore(ledger)) as operator:
        AuditLog(operator).create({})
        record(service, 1)
        AuditLog(operator).begin_another({})
        with pytest.raises((AuditUnavailable, AuditCorrupt)):
            record(service, 2)
        assert verify(operator) == 1
