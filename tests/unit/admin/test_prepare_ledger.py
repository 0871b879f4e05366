"""The ledger and the service's role are made once, with the least rights, before anything else is set up."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import psycopg
import pytest

from app.admin.prepare_ledger import prepare_ledger
from app.audit.storage.postgres.place import LedgerPlace
from app.audit.storage.postgres.server_checks import verify_server
from app.errors import ConfigError

from ...support.postgres_server import PostgresServer

SECRET = "a password with ' and \\"


@pytest.fixture
def role(postgres: PostgresServer, monkeypatch: pytest.MonkeyPatch) -> str:
    """The name of a role that is not there yet, in AUDIT_URL."""
    name = f"service_{postgres.new_database()}"
    database = postgres.new_database()
    monkeypatch.delenv("SECRET_KEY")
    monkeypatch.setenv("AUDIT_URL", postgres.url(database, name, SECRET))
    monkeypatch.setenv("AUDIT_ADMIN_URL", postgres.url(database))
    return name


def test_the_role_has_the_password_of_the_url_and_least_rights(role: str, monkeypatch: pytest.MonkeyPatch) -> None:
    first, again = prepare_ledger(), prepare_ledger()
    assert (first.role, first.is_new_role, first.has_password, first.is_new_ledger) == (role, True, True, True)
    assert (again.is_new_role, again.is_new_ledger) == (False, False)
    with monkeypatch.context() as patch:
        patch.setenv("SECRET_KEY", "s" * 43)
        from app.settings import load_settings

        ledger = load_settings().ledger
    assert ledger is not None
    assert verify_server(replace(ledger, is_single_primary=True)) == []


def test_a_password_comes_from_its_file(
    role: str, postgres: PostgresServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    file = tmp_path / "password"
    file.write_text("of the file\n")
    monkeypatch.setenv("AUDIT_PASSWORD_FILE", str(file))
    assert prepare_ledger().has_password
    psycopg.connect(postgres.url(user=role, password="of the file")).close()
    with pytest.raises(psycopg.OperationalError):
        psycopg.connect(postgres.url(user=role, password=SECRET))


def test_another_role_may_be_named_and_has_no_password(role: str, postgres: PostgresServer) -> None:
    done = prepare_ledger(f"{role}_b")
    assert (done.role, done.is_new_role, done.has_password) == (f"{role}_b", True, False)


@pytest.mark.parametrize("missing", ["AUDIT_URL", "AUDIT_ADMIN_URL"])
def test_both_urls_are_needed(role: str, monkeypatch: pytest.MonkeyPatch, missing: str) -> None:
    monkeypatch.delenv(missing)
    with pytest.raises(ConfigError, match=missing):
        prepare_ledger()


def test_an_administrator_who_may_not_is_told_why(role: str, postgres: PostgresServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AUDIT_ADMIN_URL", postgres.url(user=postgres.new_role()))
    with pytest.raises(ConfigError, match="AUDIT_ADMIN_URL: permission denied"):
        prepare_ledger()


def test_the_ledger_place_shows_no_password(postgres: PostgresServer) -> None:
    assert SECRET not in repr(LedgerPlace(postgres.url(password=SECRET), admin_url=postgres.url(password=SECRET)))
