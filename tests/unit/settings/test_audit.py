"""AUDIT_URL moves the log into PostgreSQL; without it everything is as it was."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from app.errors import ConfigError
from app.settings import Settings, load_settings

URL = "postgresql://assistant:secret-word@db.example/audit?sslmode=verify-full"


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in list(os.environ):
        if name.startswith(("AUDIT_", "NODE_")):
            monkeypatch.delenv(name)


def settings(**given: object) -> Settings:
    return load_settings(secret_key="x" * 43, **given)


@pytest.mark.parametrize("url", [None, ""])
def test_the_log_is_a_file_unless_a_url_is_set(url: str | None) -> None:
    assert settings(audit_url=url).ledger is None


def test_the_ledger_is_where_the_url_says_and_shows_no_password(tmp_path: Path) -> None:
    found = settings(
        audit_url=URL, audit_password_file=tmp_path / "pw", audit_admin_url="postgres://dba@db/audit", node_name="n-1"
    )
    assert found.ledger is not None
    assert (found.ledger.url, found.ledger.password_file, found.ledger.node) == (URL, tmp_path / "pw", "n-1")
    assert found.ledger.admin_url == "postgres://dba@db/audit"
    assert "secret-word" not in repr(found) + repr(found.ledger)


def test_a_node_without_a_name_has_the_host_s() -> None:
    ledger = settings(audit_url=URL).ledger
    assert ledger is not None
    assert ledger.node == os.uname().nodename


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"audit_url": "mysql://a:secret-word@b/c"}, "AUDIT_URL takes postgresql://"),
        ({"audit_password_file": Path("/pw")}, "AUDIT_PASSWORD_FILE is set, but AUDIT_URL is not"),
        ({"node_name": "a b"}, "NODE_NAME takes"),
    ],
)
def test_what_cannot_be_used_is_refused_in_a_sentence(given: dict[str, object], said: str) -> None:
    with pytest.raises(ConfigError, match=said) as refused:
        settings(**given)
    assert "secret-word" not in refused.value.detail


def test_without_the_driver_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("app.settings.audit.find_spec", lambda name: None)
    with pytest.raises(ConfigError, match="needs the extra postgres"):
        settings(audit_url=URL)
    assert settings().ledger is None


def test_the_word_of_the_operator_reaches_the_ledger() -> None:
    found = settings(audit_url=URL, audit_single_primary="yes").ledger
    assert found is not None
    assert found.is_single_primary
