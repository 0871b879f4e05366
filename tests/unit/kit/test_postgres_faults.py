"""Faults of PostgreSQL in our own words; tests/contract/test_postgres_tls.py meets those of TLS and passwords."""

from __future__ import annotations

import psycopg
import pytest

from app.kit.postgres_faults import CUT, FULL, REFUSED, STANDBY, STARTING, what_failed

AT = 'connection to server at "127.0.0.1", port 5432 failed: '


@pytest.mark.parametrize(
    ("said", "meant"),
    [
        (AT + 'FATAL:  role "x" is not permitted to log in', REFUSED),
        (AT + "FATAL:  the database system is starting up", STARTING),
        (AT + "FATAL:  the database system is not yet accepting connections", STARTING),
        (AT + "session is read-only", STANDBY),
        (AT + "FATAL:  sorry, too many clients already", FULL),
        ("server closed the connection unexpectedly\n\tThis probably means the server terminated abnormally", CUT),
        ("consuming input failed: terminating connection due to administrator command", CUT),
    ],
)
def test_words_of_libpq_become_a_sentence(said: str, meant: str) -> None:
    assert what_failed(psycopg.OperationalError(said)) == meant


def test_a_state_of_the_server_counts_more_than_its_words() -> None:
    assert what_failed(psycopg.errors.ReadOnlySqlTransaction("timed out")) == STANDBY


def test_of_several_hosts_the_most_telling_fault_is_told() -> None:
    both = f"{AT}Connection refused\n\tIs the server running?\n{AT}FATAL:  password authentication failed for user"
    assert what_failed(psycopg.OperationalError(both)) == REFUSED


def test_what_nobody_knows_is_passed_on_in_one_line_without_a_question() -> None:
    assert what_failed(psycopg.OperationalError("odd.\n\tIs it so?\n\teven odder.")) == "odd; even odder"
    assert what_failed(None) == "None"
    assert what_failed(psycopg.OperationalError()) == "OperationalError"
