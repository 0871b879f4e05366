"""A connection that is cut, late, warned or refused: each has its own outcome, and none is a success."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import psycopg
import pytest

from app.audit.storage.postgres.place import LedgerPlace
from app.audit.storage.postgres.session import Lost, Refused, Session, Statement, conninfo

from .....support.ledger import ROLE, asked
from .....support.postgres_server import PASSWORD
from .....support.waiting import eventually

SLEEP = Statement("sleep", "SELECT pg_sleep(60)")
WARN = Statement("warn", "DO $$ BEGIN RAISE WARNING 'canceling wait for synchronous replication'; END $$")
NOTICE = Statement("notice", "DO $$ BEGIN RAISE NOTICE 'nothing'; END $$")
DIVIDE = Statement("divide", "SELECT 1 / $1", (20,))


def test_each_connection_pins_what_it_waits_for(session: Session, admin: psycopg.Connection[Any]) -> None:
    assert asked(session, "current_setting('synchronous_commit')") == "on"
    admin.execute(f"ALTER ROLE {ROLE} SET synchronous_commit = off")
    try:
        with_role = Session(LedgerPlace(session_url(admin)))
        assert asked(with_role, "current_setting('synchronous_commit')") == "on"
        with_role.close()
    finally:
        admin.execute(f"ALTER ROLE {ROLE} RESET synchronous_commit")


def session_url(admin: psycopg.Connection[Any]) -> str:
    return f"postgresql://{ROLE}:{PASSWORD}@127.0.0.1:{admin.info.port}/{admin.info.dbname}"


def test_a_warning_is_no_success_and_a_notice_is_no_failure(session: Session) -> None:
    session.call(NOTICE)
    with pytest.raises(Lost, match="canceling wait"):
        session.call(WARN)
    assert asked(session, "1") == "1"


def test_an_answer_that_does_not_come_in_time_ends_the_backend_too(session: Session, admin: psycopg.Connection[Any]) -> None:
    pid = int(asked(session, "pg_backend_pid()"))
    with pytest.raises(Lost, match="in time"):
        session.call(SLEEP, seconds=0.05)
    assert not session.is_open
    eventually(lambda: admin.execute("SELECT FROM pg_stat_activity WHERE pid = %s", [pid]).fetchone() is None)


def test_a_killed_backend_is_a_lost_outcome(session: Session, admin: psycopg.Connection[Any]) -> None:
    assert session.is_alive()
    admin.execute("SELECT pg_terminate_backend(%s, 5000)", [int(asked(session, "pg_backend_pid()"))])
    assert not session.is_alive()
    with pytest.raises(Lost):
        asked(session, "1")
    assert not session.is_open


def test_a_refused_statement_leaves_the_connection_usable(session: Session) -> None:
    with pytest.raises(Refused) as refused:
        session.call(DIVIDE, 0)
    assert refused.value.state == "22012"
    assert session.call(DIVIDE, 1) == [[(1).to_bytes(8, "big")]]


def test_a_server_that_is_not_there_is_told_without_the_password() -> None:
    with pytest.raises(Lost) as lost:
        Session(LedgerPlace("postgresql://me:secret-word@127.0.0.1:1/x"))
    assert str(lost.value) == "no server listens there: start it, or correct host and port"


@pytest.mark.parametrize(
    ("url", "mode"),
    [
        ("postgresql://me@db.example/x", "verify-full"),
        ("postgresql://me@db.example/x?sslmode=disable", "disable"),
        ("postgresql://me@127.0.0.1/x", None),
    ],
)
def test_the_certificate_of_another_machine_is_verified_by_default(url: str, mode: str | None) -> None:
    for found in (conninfo(LedgerPlace(url)), conninfo(LedgerPlace("postgresql://h/x"), url)):
        assert psycopg.conninfo.conninfo_to_dict(found).get("sslmode") == mode


def test_a_url_that_cannot_be_read_shows_nothing_of_itself() -> None:
    with pytest.raises(Lost, match="AUDIT_URL") as lost:
        Session(LedgerPlace("postgresql://me:secret-word@h/x?sercet=secret-word"))
    assert "secret-word" not in str(lost.value)


def test_the_password_is_read_from_its_file(tmp_path: Path) -> None:
    file = tmp_path / "password"
    file.write_text("from the file\n")
    place = LedgerPlace("postgresql://me@h/x?connect_timeout=9", file, node="n1")
    found = psycopg.conninfo.conninfo_to_dict(conninfo(place))
    assert (found["password"], found["connect_timeout"]) == ("from the file", "9")
    assert (found["target_session_attrs"], found["application_name"]) == ("read-write", "secure-ai-assistant n1")
    file.unlink()
    with pytest.raises(Lost, match=r"password.*cannot be read"):
        Session(place)
