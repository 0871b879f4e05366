"""How a command ends: its status, one sentence on stderr, and with --json one document on stdout."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import app
from app.admin import setup
from app.audit.format.record import Receipt
from app.cli import http_client, main
from app.cli.http_client import CallFailed
from app.errors import ConfigError

ANSWER = {"answer": "Paris\x1b\nFrance", "receipt": {"seq": 3, "hash": "ab" * 32}}
Run = Callable[..., int]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Run:
    """Runs `python -m app …` in this process, in an empty folder; its exit status."""
    monkeypatch.chdir(tmp_path)
    for name in ("TOKEN", "URL", "CLIENT_ID", "CLIENT_SECRET"):
        monkeypatch.delenv(f"SECURE_AI_{name}", raising=False)

    def run(*arguments: str) -> int:
        monkeypatch.setattr(sys, "argv", ["app", *arguments])
        with pytest.raises(SystemExit) as end:
            main.main()
        return int(end.value.code or 0)

    return run


def test_the_version_is_one_line_on_stdout(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("--version") == 0
    assert capsys.readouterr() == (f"secure-ai-assistant {app.__version__}\n", "")


def raising(error: BaseException) -> Callable[..., Any]:
    def work(*_: object, **__: object) -> Any:
        raise error

    return work


@pytest.mark.parametrize(
    ("error", "code", "detail"),
    [
        (ConfigError("Set it up."), "config_invalid", "Set it up."),
        (CallFailed("401 invalid_token: No."), "call_failed", "401 invalid_token: No."),
        (PermissionError(13, "Permission denied", "logs"), "io", "logs cannot be used: Permission denied."),
        (OSError(28, "No space left on device"), "io", "The output cannot be used: No space left on device."),
    ],
)
def test_an_error_ends_with_status_two_and_one_sentence(
    error: BaseException, code: str, detail: str, run: Run, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(setup, "set_up", raising(error))
    assert run("init") == 2
    assert capsys.readouterr() == ("", f"{detail}\n")
    assert run("init", "--json") == 2
    out, err = capsys.readouterr()
    assert (json.loads(out), err) == ({"error": code, "detail": detail}, f"{detail}\n")


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["nonsense"], "No such command"),
        (["init", "--nonsense"], "No such option"),
        (["serve", "--port", "65536"], "--port takes a whole number from 0 to 65,535. The port"),
        (["ask", "Hello?"], "Missing --token (or SECURE_AI_TOKEN). An API key"),
        (["token", "--client-id", "alice"], "--client-secret"),
    ],
)
def test_a_wrong_argument_is_refused_as_any_error(
    arguments: list[str], sentence: str, run: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(*arguments, "--json") == 2
    out, err = capsys.readouterr()
    assert sentence in err
    assert json.loads(out) == {"error": "usage", "detail": err.removesuffix("\n")}


def test_ctrl_c_ends_with_its_own_status(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(setup, "set_up", raising(KeyboardInterrupt()))
    assert run("init") == 130


def test_init_prints_what_was_made(run: Run, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    made = setup.SetupResult(audit_log=Path("log"), log_key=Path("key"), first_record=Receipt(0, "ab" * 32))
    monkeypatch.setattr(setup, "set_up", lambda *, new_log: made if new_log else setup.SetupResult())
    assert run("init", "--new-log", "--json") == 0
    paths = {"env_file": None, "database": None, "audit_log": "log", "log_key": "key", "secret_filled_into": None}
    assert json.loads(capsys.readouterr().out) == {**paths, "receipt": f"0:{'ab' * 32}"}
    assert run("init", "--new-log") == 0
    add, serve = "  python -m app clients add alice --key\n", "  python -m app serve\n"
    assert capsys.readouterr().out == f"made audit log: log\nmade log key: key\nnext:\n{add}{serve}"
    monkeypatch.setattr(setup, "set_up", lambda *, new_log: setup.SetupResult(has_clients=True))
    assert run("init") == 0
    assert capsys.readouterr().out == f"nothing was missing\nnext:\n{serve}"


def test_serve_replaces_the_process_by_a_fresh_interpreter(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "environ", dict(os.environ))
    os.environ.pop("MALLOC_MMAP_THRESHOLD_", None)
    commands: list[list[str]] = []
    monkeypatch.setattr(os, "execv", lambda _, argv: commands.append(argv))
    assert run("serve", "--port", "9", "--workers", "2", "--json") == 0
    assert commands == [[sys.executable, "-m", "app.serving.parent", "127.0.0.1", "9", "2", "--json"]]
    assert os.environ["MALLOC_MMAP_THRESHOLD_"] == "65536"
    assert os.environ["SECURE_AI_COMMAND"] == "python -m app", "the service's messages name the same command"


@pytest.mark.parametrize(
    ("reason", "notice"),
    [
        ("length", "The answer is cut off: it reached the longest length that is allowed (LLM_MAX_TOKENS).\n"),
        ("content_filter", "The answer is cut off: content_filter.\n"),
        ("stop", ""),
    ],
)
def test_an_answer_that_was_cut_off_says_so(
    reason: str, notice: str, run: Run, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(http_client, "ask", lambda *_: {**ANSWER, "finish_reason": reason})
    monkeypatch.setattr(http_client, "stream", lambda *_: iter([("done", {**ANSWER, "finish_reason": reason})]))
    for options in ([], ["--stream"]):
        assert run("ask", "Hello?", "--token", "x", *options) == 0
        assert capsys.readouterr().err == f"{notice}receipt 3:{'ab' * 32}\n"


def test_an_answer_goes_to_stdout_and_its_receipt_to_stderr(
    run: Run, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def stream(*_: str) -> Any:
        yield "delta", {"text": "Paris\x1b\n"}
        yield "delta", {"text": "France"}
        yield "done", ANSWER

    monkeypatch.setattr(http_client, "ask", lambda *_: ANSWER)
    monkeypatch.setattr(http_client, "stream", stream)
    shown = ("Paris\\x1b\nFrance\n", f"receipt 3:{'ab' * 32}\n")
    for options in ([], ["--stream"]):
        assert run("ask", "Hello?", "--token", "x", *options) == 0
        assert capsys.readouterr() == shown
    for options in ([], ["--stream"]):
        assert run("ask", "Hello?", "--token", "x", "--json", *options) == 0
        out, err = capsys.readouterr()
        assert (json.loads(out), err) == (ANSWER, "")
