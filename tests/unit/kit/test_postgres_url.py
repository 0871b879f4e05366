"""PostgreSQL's URLs: read as libpq does, safe by default, and fit for messages."""

from __future__ import annotations

from pathlib import Path

import pytest

from app.errors import ConfigError
from app.kit.postgres_url import PostgresUrl, is_postgres

SECRET = "correct-horse-battery"


def url(text: str) -> PostgresUrl:
    return PostgresUrl(text, "DATABASE_URL")


@pytest.fixture(autouse=True)
def no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PGSSLMODE", raising=False)
    monkeypatch.delenv("PGHOST", raising=False)


@pytest.mark.parametrize("text", ["postgresql://h/d", "postgres://u:p@h:1,i:2/d?sslmode=require", "postgresql:///d?host=/run"])
def test_these_name_a_server(text: str) -> None:
    assert is_postgres(text)


@pytest.mark.parametrize("text", ["", "postgresql://", "mysql://h/d", "postgresql+asyncpg://h/d", "postgresql://h/a b"])
def test_these_do_not(text: str) -> None:
    assert not is_postgres(text)


@pytest.mark.parametrize("host", ["db.example", "10.0.0.9", "127.0.0.1,db.example", "[2001:db8::1]"])
def test_the_certificate_of_another_machine_is_verified_by_default(host: str) -> None:
    assert url(f"postgresql://u@{host}/d").parameters()["sslmode"] == "verify-full"
    assert url(f"postgresql://u@{host}/d?sslmode=disable").parameters()["sslmode"] == "disable"


def test_the_environment_may_name_the_mode_and_the_host(monkeypatch: pytest.MonkeyPatch) -> None:
    assert "sslmode" not in url("postgresql:///d").parameters()
    monkeypatch.setenv("PGHOST", "db.example")
    assert url("postgresql:///d").parameters()["sslmode"] == "verify-full"
    monkeypatch.setenv("PGSSLMODE", "require")
    assert "sslmode" not in url("postgresql:///d").parameters()


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "[::1]", "", "%2Frun%2Fpostgresql"])
def test_this_machine_needs_no_certificate(host: str) -> None:
    assert "sslmode" not in url(f"postgresql://u@{host}/d").parameters()


def test_a_password_comes_from_its_file_at_each_connection(tmp_path: Path) -> None:
    file = tmp_path / "password"
    file.write_text(f"{SECRET}\n")
    found = PostgresUrl("postgresql://u@localhost/d", "DATABASE_URL", file)
    assert found.parameters()["password"] == SECRET
    file.write_text("another")
    assert found.parameters()["password"] == "another"
    file.unlink()
    with pytest.raises(ConfigError, match=r"^DATABASE_PASSWORD_FILE: .* cannot be read: No such file"):
        found.parameters()


def test_no_message_shows_a_secret() -> None:
    found = url(f"postgresql://user:{SECRET}@db.example/assistant?options=-c%20x%3D{SECRET}")
    assert str(found) == "assistant on db.example"
    assert SECRET not in repr(found)
    with pytest.raises(ConfigError) as caught:
        url(f"postgresql://user@db/d?{SECRET}=1").parameters()
    assert caught.value.detail == "DATABASE_URL is no URL that PostgreSQL knows: invalid URI query parameter: …."
