"""Which servers may not keep the ledger, and what the operator is told."""

from __future__ import annotations

from dataclasses import replace

import pytest

from app.audit.storage.postgres.server_checks import problems, warnings
from app.kit.postgres_server import ServerFacts

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
