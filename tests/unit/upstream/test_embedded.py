"""The command and the environment of the embedded model's child process; no child is started."""

from __future__ import annotations

import os
import sys

import pytest

from app.upstream import embedded
from app.upstream.embedded import EmbeddedAddress

from ...support.paths import ROOT

KEY = "key-of-this-test"


def test_the_child_is_the_module_itself_and_knows_its_parent() -> None:
    argv, environment = embedded.child_command(1234, KEY)
    assert argv == [sys.executable, "-P", "-m", "app.upstream.embedded", "1234", str(os.getpid())]
    assert environment["PYTHONPATH"].split(os.pathsep)[0] == str(ROOT), "it runs this app from any folder"


def test_the_child_is_given_no_secret_of_its_parent(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("SECRET_KEY", "OPENAI_API_KEY", "DATABASE_URL", "AWS_SECRET_ACCESS_KEY", "HF_TOKEN"):
        monkeypatch.setenv(name, "planted-secret")
    argv, environment = embedded.child_command(1, KEY)
    assert "planted-secret" not in " ".join([*argv, *environment.values()])
    assert not any(KEY in argument for argument in argv)
    assert [name for name, value in environment.items() if value == KEY] == ["EMBEDDED_MODEL_API_KEY"]


def test_the_operators_library_path_comes_before_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LD_LIBRARY_PATH", "/opt/theirs")
    assert embedded.child_command(1, KEY)[1]["LD_LIBRARY_PATH"].split(":")[0] == "/opt/theirs"


def test_waiting_for_a_child_that_is_not_there_ends_in_time() -> None:
    waits: list[float] = []
    assert not embedded.wait_until_ready(embedded.free_port(), KEY, timeout_seconds=0.3, on_wait=waits.append)
    assert waits == sorted(waits)
    assert waits


def test_waiting_ends_when_its_watcher_raises() -> None:
    def give_up(seconds: float) -> None:
        raise EOFError

    with pytest.raises(EOFError):
        embedded.wait_until_ready(embedded.free_port(), KEY, timeout_seconds=60, on_wait=give_up)


def test_an_address_does_not_show_its_key() -> None:
    address = EmbeddedAddress("http://127.0.0.1:1/v1", "planted-secret", "m", max_waiting=1)
    assert "planted-secret" not in repr(address)
