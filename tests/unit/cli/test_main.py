"""How a command ends: its status, one sentence on stderr, and with --json one document on stdout."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

import app
from app.admin import setup
from app.cli.http_client import CallFailed
from app.errors import ConfigError

from ...support.commands import Run


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
