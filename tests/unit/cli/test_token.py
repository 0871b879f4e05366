"""Token commands: what they print for people, for programs and as JSON, and what they refuse."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from app.admin import clients as operator_tasks
from app.cli import http_client
from app.cli.http_client import CallFailed
from app.cli.main import app
from app.cli.usage import WrongUsage

from ...support.commands import run

ROLE = "ai.playground.user"
JTI = "ab" * 16
DOCUMENT = {"access_token": "a.b.c", "token_type": "Bearer", "expires_in": 3600, "scope": ROLE}
THERE = ("http://there", "alice", "the-secret")
GET = ["token", "get", "--client-id", "alice", "--url", "http://there"]


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[tuple[object, ...]]:
    """What was asked of the service at POST /token; this user's cache is empty."""
    found: list[tuple[object, ...]] = []

    def fetch(*arguments: object) -> dict[str, object]:
        found.append(arguments)
        return DOCUMENT

    monkeypatch.setattr(http_client, "fetch_token", fetch)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("SECURE_AI_CLIENT_SECRET", "the-secret")
    return found


def test_a_token_alone_goes_to_stdout_so_that_a_shell_can_keep_it(calls: list[tuple[object, ...]]) -> None:
    login = ["--client-id", "alice", "--client-secret", "the-secret", "--url", "http://there"]
    assert run("token", *login) == "a.b.c\n"
    assert json.loads(run("token", *login, "--scope", ROLE, "--json")) == DOCUMENT
    assert calls == [(*THERE, None), (*THERE, ROLE)]


def test_a_kept_token_is_fetched_once_and_printed_alone(calls: list[tuple[object, ...]]) -> None:
    assert [run(*GET, "--print") for _ in range(3)] == ["a.b.c\n"] * 3
    assert calls == [(*THERE, None)]
    run(*GET, "--print", "--scope", ROLE)
    run(*GET, "--print", "--renew")
    assert calls == [(*THERE, None), (*THERE, ROLE), (*THERE, None)]


def test_without_print_a_person_sees_all_but_the_token(calls: list[tuple[object, ...]], tmp_path: Path) -> None:
    text = run(*GET)
    assert "a.b.c" not in text
    assert [line.split()[0] for line in text.splitlines()] == ["client_id", "scope", "expires", "kept"]
    shown = json.loads(run(*GET, "--json"))
    assert list(shown) == ["access_token", "token_type", "expires_in", "scope", "expires_at", "kept_in"]
    assert (shown["access_token"], shown["token_type"], shown["scope"]) == ("a.b.c", "Bearer", ROLE)
    assert 3590 < shown["expires_in"] <= 3600
    assert Path(shown["kept_in"]).is_relative_to(tmp_path / "cache")


def test_the_secret_comes_from_a_private_file_or_not_at_all(
    calls: list[tuple[object, ...]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "secret"
    file.write_text("from-a-file\n")
    file.chmod(0o640)
    with pytest.raises(WrongUsage, match="chmod 600"):
        run(*GET, "--secret-file", str(file))
    file.chmod(0o600)
    run(*GET, "--secret-file", str(file))
    monkeypatch.setenv("SECURE_AI_CLIENT_SECRET_FILE", str(file))
    run(*GET, "--renew")
    assert calls == [("http://there", "alice", "from-a-file", None)] * 2
    assert CliRunner().invoke(app, [*GET, "--client-secret", "x"]).exit_code != 0


def test_what_is_missing_or_misplaced_is_named(calls: list[tuple[object, ...]], monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(WrongUsage, match="stand after get"):
        run("token", "--client-id", "alice", "get")
    with pytest.raises(WrongUsage, match=r"Missing --client-id .*clients add"):
        run("token", "get")
    monkeypatch.delenv("SECURE_AI_CLIENT_SECRET")
    with pytest.raises(WrongUsage, match="Missing --secret-file"):
        run(*GET)
    with pytest.raises(WrongUsage, match=r"Missing --client-id .* and --client-secret"):
        run("token")
    assert calls == []


def test_a_service_that_refuses_leaves_stdout_empty(calls: list[tuple[object, ...]], monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise CallFailed("401 invalid_client: no")

    monkeypatch.setattr(http_client, "fetch_token", refuse)
    done = CliRunner().invoke(app, [*GET, "--print"])
    assert isinstance(done.exception, CallFailed)
    assert done.stdout == ""


def test_a_revoked_token_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    async def revoke(jti: str) -> None:
        assert jti == JTI

    monkeypatch.setattr(operator_tasks, "revoke_token", revoke)
    assert run("token", "revoke", JTI) == f"{JTI} is revoked\n"
    assert json.loads(run("token", "revoke", JTI, "--json")) == {"jti": JTI, "revoked": True}
