"""What the database itself guarantees, whatever a service sends."""

from __future__ import annotations

import uuid
from typing import Any

import psycopg
import pytest

from app.audit.format.record import body_of, computed_hash, draft, hash_of
from app.audit.storage.postgres.schema import BAD_BODY, FENCED, IS_BEGUN, NO_LOG, STALE
from app.audit.storage.postgres.session import Refused, Row, Session
from app.audit.storage.postgres.writer import APPEND, BARRIER, ENTER

from .....support.ledger import asked

WRITER = str(uuid.uuid4())
BODY = body_of(draft("log.alive", None, {"n": 1}))
Admin = psycopg.Connection[Any]


def add(session: Session, number: int, *bodies: bytes, epoch: int = 0, after: int | None = None, begins: bool = False) -> Row:
    (row,) = session.call(APPEND, "here", epoch, WRITER, number, after, begins, bodies or [BODY])
    return row


@pytest.fixture(autouse=True)
def begun(session: Session) -> Row:
    return add(session, 1, begins=True)


def state_of(call: Any) -> str:
    with pytest.raises(Refused) as refused:
        call()
    return refused.value.state


def test_a_line_is_linked_and_kept_byte_by_byte(session: Session, admin: Admin) -> None:
    given = body_of(draft("ask.received", "alice", {"query": "é\u2028\\\n\x00"}))
    add(session, 2, given)
    first, second = (line for (line,) in admin.execute("SELECT line FROM audit.lines ORDER BY seq"))
    assert second.startswith(b'{"v":1,"seq":1,"timestamp":"2')
    assert given + b',"prev_hash":"%b","hash":"' % (hash_of(first) or "").encode() in second
    assert [hash_of(line) for line in (first, second)] == [computed_hash(line) for line in (first, second)]


def test_the_same_batch_is_added_once_and_answered_twice(session: Session, admin: Admin) -> None:
    assert add(session, 2, BODY, BODY) == add(session, 2, BODY, BODY)
    assert admin.execute("SELECT count(*) FROM audit.lines").fetchone() == (3,)


def test_a_batch_before_the_last_one_of_its_writer_comes_too_late(session: Session) -> None:
    add(session, 5)
    assert state_of(lambda: add(session, 4)) == STALE


def test_the_epoch_of_an_older_service_is_fenced(session: Session) -> None:
    ((old,),) = session.call(ENTER, "here", 1)
    assert session.call(ENTER, "here", 1) == [[old]], "all processes of a service have one epoch"
    session.call(ENTER, "elsewhere", 7)
    add(session, 2, epoch=int.from_bytes(old or b"", "big"))
    session.call(ENTER, "here", 2)
    assert state_of(lambda: add(session, 3, epoch=int.from_bytes(old or b"", "big"))) == FENCED
    assert session.call(ENTER, "here", 1) == [[old]], "the older service does not become the newer one"


def test_an_epoch_of_another_ledger_is_fenced(session: Session) -> None:
    """As of a service that goes on while `init --new-log` begins another log."""
    assert state_of(lambda: add(session, 2, epoch=1)) == FENCED


def test_a_log_is_begun_once(session: Session, admin: Admin) -> None:
    assert state_of(lambda: add(session, 2, begins=True)) == IS_BEGUN
    admin.execute("TRUNCATE audit.batches, audit.lines")
    assert state_of(lambda: add(session, 2)) == NO_LOG


@pytest.mark.parametrize("body", [b',"a":"\n"}', b'{"v":1}', b"," + b"x" * 61_440])
def test_what_would_break_lines_apart_is_refused_whole(session: Session, admin: Admin, body: bytes) -> None:
    assert state_of(lambda: add(session, 2, BODY, body)) == BAD_BODY
    assert admin.execute("SELECT count(*) FROM audit.lines").fetchone() == (1,)


def test_lines_are_kept_in_partitions_by_their_numbers(session: Session, admin: Admin) -> None:
    for number in range(2, 6):
        add(session, number, *[BODY] * 12)
    found = admin.execute("SELECT tableoid::regclass::text, min(seq), max(seq) FROM audit.lines GROUP BY 1 ORDER BY 2").fetchall()
    assert found == [(f"audit.lines_{first}", first, min(first + 9, 48)) for first in range(0, 50, 10)]


def test_the_service_may_read_and_append_and_nothing_else(session: Session, admin: Admin) -> None:
    role = asked(session, "current_user")
    tables = [
        name
        for (name,) in admin.execute(
            "SELECT oid::regclass::text FROM pg_class WHERE relnamespace = 'audit'::regnamespace AND relkind IN ('r', 'p')"
        )
    ]
    rights = {
        right
        for table in tables
        for right in ("SELECT", "INSERT", "UPDATE", "DELETE", "TRUNCATE", "TRIGGER", "REFERENCES")
        if admin.execute("SELECT has_table_privilege(%s, %s, %s)", [role, table, right]).fetchone() == (True,)
    }
    assert rights == {"SELECT"}
    executable = admin.execute(
        "SELECT proname FROM pg_proc WHERE pronamespace = 'audit'::regnamespace AND has_function_privilege(%s, oid, 'EXECUTE')",
        [role],
    )
    allowed = {"enter", "append", "barrier", "keep_text", "changes", "replace_signed_head", "tell_node"}
    assert {name for (name,) in executable} == allowed


def test_functions_with_rights_have_a_path_that_nobody_can_change(admin: Admin) -> None:
    found = admin.execute(
        "SELECT proname, proconfig, pg_get_userbyid(proowner) FROM pg_proc WHERE pronamespace = 'audit'::regnamespace"
    )
    assert {(tuple(config), owner) for _, config, owner in found} == {(("search_path=pg_catalog, pg_temp",), "audit_owner")}


def test_a_barrier_needs_the_batch_to_stand(session: Session, begun: Row) -> None:
    digest = (begun[2] or b"").decode()
    assert session.call(BARRIER, 0, digest) == [[b"\1"]]
    assert session.call(BARRIER, 0, "0" * 64) == session.call(BARRIER, 1, digest) == [[b"\0"]]
