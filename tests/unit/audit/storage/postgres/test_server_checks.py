"""Which servers may not keep the ledger, and what the operator is told."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from app.audit.storage.postgres.place import LedgerPlace
from app.audit.storage.postgres.server_checks import SOUND_SECONDS, ServerWatch, problems, verify_server, warnings
from app.errors import ConfigError, EvidenceUnavailable
from app.kit.postgres_server import ServerFacts

from .....support.own_ledger import database_in, new_place, role_in
from .....support.pgbouncer import pgbouncer
from .....support.postgres_server import PostgresServer

SETTINGS = {
    "server_version_num": "180006",
    "synchronous_standby_names": "standby",
    "synchronous_commit": "on",
    "fsync": "on",
    "full_page_writes": "on",
}
SOUND = ServerFacts(settings=SETTINGS, role="assistant", is_superuser=False, is_standby=False, is_pooled=False, is_protected=True)


def said(is_single_primary: bool = False, /, **changed: str) -> list[str]:
    return list(problems(replace(SOUND, settings=SETTINGS | changed), is_single_primary=is_single_primary))


def test_a_server_that_keeps_what_it_acknowledges_is_taken() -> None:
    assert said() == []
    assert said(synchronous_commit="remote_apply") == []
    assert list(warnings(SOUND)) == []


@pytest.mark.parametrize("name", ["fsync", "full_page_writes"])
def test_a_server_that_forgets_after_a_crash_is_refused_by_name(name: str) -> None:
    [sentence] = said(**{name: "off"})
    assert f"{name}=off" in sentence


@pytest.mark.parametrize("value", ["off", "local", "remote_write"])
def test_a_commit_that_waits_for_too_little_is_refused(value: str) -> None:
    [sentence] = said(synchronous_commit=value)
    assert f"synchronous_commit={value}" in sentence
    assert said(True, synchronous_commit=value) == [sentence]


def test_without_a_standby_the_operator_must_say_so() -> None:
    [sentence] = said(synchronous_standby_names=" ")
    assert "AUDIT_SINGLE_PRIMARY=yes" in sentence
    assert said(True, synchronous_standby_names="") == []


def test_an_old_server_a_standby_a_superuser_and_a_pooler_are_refused() -> None:
    assert "PostgreSQL 13" in said(server_version_num="130014")[0]
    for changed, words in (
        (replace(SOUND, is_standby=True), "standby"),
        (replace(SOUND, is_superuser=True), "superuser"),
        (replace(SOUND, is_pooled=True), "PgBouncer"),
    ):
        [sentence] = problems(changed, is_single_primary=False)
        assert words in sentence


def test_behind_a_pooler_nothing_else_is_judged() -> None:
    assert len(list(problems(replace(SOUND, is_pooled=True, is_superuser=True), is_single_primary=False))) == 1


def test_a_connection_that_others_can_read_is_worth_a_warning() -> None:
    [sentence] = warnings(replace(SOUND, is_protected=False))
    assert "sslmode=verify-full" in sentence


# --- on a real server --------------------------------------------------------------------------------


def refusal_of(place: LedgerPlace, *, is_single_primary: bool = True) -> str:
    with pytest.raises(ConfigError) as refused:
        verify_server(replace(place, is_single_primary=is_single_primary))
    return refused.value.detail


def test_a_prepared_ledger_is_taken(postgres: PostgresServer) -> None:
    assert verify_server(new_place(postgres)) == []


def test_a_server_without_a_standby_needs_the_word_of_the_operator(postgres: PostgresServer) -> None:
    assert "AUDIT_SINGLE_PRIMARY=yes" in refusal_of(new_place(postgres), is_single_primary=False)


@pytest.mark.parametrize(
    "granted",
    [
        "ALTER ROLE {} SUPERUSER",
        "GRANT audit_owner TO {}",
        "GRANT UPDATE ON audit.lines TO {}",
        "GRANT DELETE ON audit.signed_head TO {}",
        "GRANT CREATE ON SCHEMA audit TO {}",
    ],
)
def test_a_role_that_can_rewrite_the_ledger_is_refused(postgres: PostgresServer, granted: str) -> None:
    place = new_place(postgres)
    postgres.query(granted.format(role_in(place)), database=database_in(place))
    assert "rewrite the ledger" in refusal_of(place)
    postgres.query(f"DROP OWNED BY {role_in(place)}", database=database_in(place))
    postgres.query(f"REVOKE audit_owner FROM {role_in(place)}")


def test_a_database_without_a_ledger_or_rights_names_the_command(postgres: PostgresServer) -> None:
    place, stranger = new_place(postgres), postgres.new_role()
    assert "audit prepare" in refusal_of(LedgerPlace(postgres.url(postgres.new_database(), stranger)))
    assert f"audit prepare --role {stranger}" in refusal_of(LedgerPlace(postgres.url(database_in(place), stranger)))


def test_a_ledger_of_a_newer_version_is_refused(postgres: PostgresServer) -> None:
    place = new_place(postgres)
    postgres.query("UPDATE audit.ledger SET version = 99", database=database_in(place))
    assert "schema 99" in refusal_of(place)


@pytest.mark.parametrize("setting", ["synchronous_commit = off", "synchronous_commit = remote_write"])
def test_what_is_set_for_the_role_counts(postgres: PostgresServer, setting: str) -> None:
    place = new_place(postgres)
    postgres.query(f"ALTER ROLE {role_in(place)} SET {setting}")
    assert setting.replace(" ", "") in refusal_of(place)


def test_a_pooler_is_named_and_a_server_that_is_not_there(postgres: PostgresServer) -> None:
    with pgbouncer(postgres) as url:
        assert "PgBouncer" in refusal_of(LedgerPlace(url))
    sentence = refusal_of(LedgerPlace(url.replace("anyone", "anyone:secret")))
    assert "cannot be asked" in sentence
    assert "secret" not in sentence


@pytest.mark.slow
@pytest.mark.parametrize("setting", ["fsync", "full_page_writes"])
def test_a_server_that_forgets_is_refused_at_the_start(setting: str) -> None:
    off: Any = {setting: "off"}
    with PostgresServer(**off) as server:
        assert f"{setting}=off" in refusal_of(new_place(server))


def test_a_server_is_looked_at_again_while_the_service_runs(postgres: PostgresServer) -> None:
    now = 100.0
    place = new_place(postgres)
    watch = ServerWatch(place, lambda: now)
    watch.verify()
    postgres.query(f"ALTER ROLE {role_in(place)} SET synchronous_commit = off")
    now += 1
    watch.verify()  # not yet
    now += SOUND_SECONDS
    with pytest.raises(EvidenceUnavailable, match="synchronous_commit=off"):
        watch.verify()
    postgres.query(f"ALTER ROLE {role_in(place)} RESET synchronous_commit")
    now += 1
    watch.verify()
