"""Key commands: what they print for people, and as JSON for programs."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest
from typer.testing import CliRunner

from app.admin import keys as operator_tasks
from app.admin.keys import AddedKey
from app.cli.main import app
from app.cli.usage import WrongUsage
from app.errors import InvalidRequest
from app.security.models import ApiKey

from ...support.commands import returning, run

END = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
ROLES = ("ai.playground.user",)
ADDED = AddedKey("a" * 11, "saa_the-key", "alice", ROLES, END, "laptop")
KEYS = [ApiKey("a" * 11, "alice", ROLES, "laptop", 9, END, END, END), ApiKey("b" * 11, "bobby", ROLES, None, None, END, None)]


def test_a_new_key_is_shown_once_with_all_that_it_may_do(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[tuple[object, ...]] = []
    monkeypatch.setattr(operator_tasks, "add_key", returning(ADDED, calls))
    assert run("keys", "add", "alice") == (
        "key_id         aaaaaaaaaaa\nkey            saa_the-key   (shown only now)\n"
        "roles          ai.playground.user\nexpires        2026-01-02T03:04:05Z\n"
    )
    options = ["--role", ROLES[0], "--expires", "90d", "--name", "laptop", "--rpm", "600"]
    assert run("keys", "add", "alice", *options, "--json") == json.dumps(
        {
            "key_id": "a" * 11,
            "key": "saa_the-key",
            "client_id": "alice",
            "roles": [*ROLES],
            "expires_at": "2026-01-02T03:04:05Z",
            "name": "laptop",
        }
    ) + ("\n")
    assert calls == [("alice", (), None, None, None), ("alice", [*ROLES], "laptop", 600, 90 * 86_400)]


@pytest.mark.parametrize("expires", ["90", "x", "0d", "3651d", ""])
def test_an_end_that_cannot_be_is_refused(expires: str) -> None:
    done = CliRunner().invoke(app, ["keys", "add", "alice", "--expires", expires])
    assert isinstance(done.exception, WrongUsage)
    assert done.exception.detail.startswith("Invalid value for --expires: ")


def test_keys_are_a_table_or_a_list_of_documents(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[tuple[object, ...]] = []
    monkeypatch.setattr(operator_tasks, "list_keys", returning(KEYS, calls))
    assert run("keys", "list") == (
        f"aaaaaaaaaaa  {'alice':<32}  revoked  expires 2026-01-02T03:04:05Z  ai.playground.user  laptop\n"
        f"bbbbbbbbbbb  {'bobby':<32}  active   expires {'never':<20}  ai.playground.user\n"
    )
    assert json.loads(run("keys", "list", "alice", "--json"))[0] == {
        "key_id": "a" * 11,
        "client_id": "alice",
        "name": "laptop",
        "state": "revoked",
        "roles": [*ROLES],
        "rpm": 9,
        "created_at": "2026-01-02T03:04:05Z",
        "expires_at": "2026-01-02T03:04:05Z",
        "revoked_at": "2026-01-02T03:04:05Z",
    }
    assert calls == [(None,), ("alice",)]
    monkeypatch.setattr(operator_tasks, "list_keys", returning([], []))
    assert "no keys yet: python -m app keys add CLIENT" in run("keys", "list")


def test_a_key_is_revoked_without_a_question(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(operator_tasks, "revoke_key", returning(KEYS[0], []))
    assert run("keys", "revoke", "a" * 11) == "key aaaaaaaaaaa of alice is revoked\n"
    document = {"key_id": "a" * 11, "client_id": "alice", "revoked": True}
    assert json.loads(run("keys", "revoke", "a" * 11, "--json")) == document


def test_what_is_no_id_of_a_key_is_refused_by_its_argument(monkeypatch: pytest.MonkeyPatch) -> None:
    async def refuse(key_id: str) -> None:
        raise InvalidRequest("no id")

    monkeypatch.setattr(operator_tasks, "revoke_key", refuse)
    with pytest.raises(InvalidRequest, match="Invalid value for KEY_ID: no id"):
        run("keys", "revoke", "xyz")
