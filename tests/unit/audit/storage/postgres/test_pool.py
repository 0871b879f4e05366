"""No process has more connections than it may, and none that the server has closed."""

from __future__ import annotations

from contextlib import ExitStack
from typing import Any

import psycopg
import pytest

from app.audit.storage.postgres.place import LedgerPlace
from app.audit.storage.postgres.pool import Pool
from app.audit.storage.postgres.session import Lost

from .....support.ledger import asked


def test_connections_are_used_again_and_bounded(ledger: LedgerPlace) -> None:
    pool = Pool(ledger, most=2)
    with ExitStack() as held:
        first, second = (held.enter_context(pool.session()) for _ in range(2))
        with pytest.raises(Lost, match="in use"), pool.session(seconds=0.01):
            pass
    with pool.session() as again:
        assert again in (first, second)
    pool.close()
    assert not first.is_open
    assert not second.is_open


def test_one_that_the_server_closed_is_replaced(ledger: LedgerPlace, admin: psycopg.Connection[Any]) -> None:
    pool = Pool(ledger)
    with pool.session() as session:
        pid = int(asked(session, "pg_backend_pid()"))
    admin.execute("SELECT pg_terminate_backend(%s, 5000)", [pid])
    with pool.session() as session:
        assert int(asked(session, "pg_backend_pid()")) != pid
    pool.close()
