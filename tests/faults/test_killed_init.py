"""An `init` killed at any file system call is finished by the next one, and no key serves two logs."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from app.admin import log_setup, setup
from app.errors import AuditCorrupt

from ..support.clean_settings import use_defaults
from ..support.installation import FILES, KEY, LOG, ORIGIN, check_sound, init, names, retired_logs
from ..support.replaced_os import replaced_os


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder as the current one. The database is an empty file, since creating hundreds takes too long."""

    def create(*_: object) -> bool:
        is_new = not Path("logs/clients.sqlite3").exists()
        Path("logs/clients.sqlite3").touch()
        return is_new

    use_defaults(monkeypatch, tmp_path)
    monkeypatch.setenv("AUDIT_ORIGIN", ORIGIN)
    monkeypatch.setattr(setup, "create_or_upgrade_database", create)
    monkeypatch.setattr(setup, "has_active_client", lambda path: False)  # the empty file has no tables
    return tmp_path


def in_a_child(work: Callable[[], object]) -> int:
    """The exit status of a child process that runs *work*."""
    pid = os.fork()
    if pid == 0:
        try:
            work()
            os._exit(0)
        finally:
            os._exit(1)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


class DeadlyOs:
    """An `os` whose process ends before call number *when*."""

    CALLS = frozenset({"open", "rename", "link", "pwrite", "fsync", "fdatasync"})

    def __init__(self, when: int) -> None:
        self.left = when

    def __getattr__(self, name: str) -> Any:
        if name in self.CALLS:
            self.left -= 1
            if self.left < 0:
                os._exit(9)
        return getattr(os, name)


def init_killed_at(when: int, *, new_log: bool = False) -> int:
    def work() -> None:
        deadly = DeadlyOs(when)
        for module in (setup, log_setup):
            module.os = deadly  # type: ignore[attr-defined]
        with replaced_os(deadly):
            init(new_log=new_log)

    return in_a_child(work)


def test_an_init_killed_at_any_call_is_finished_by_the_next(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    status, when = 9, 0
    while status == 9:
        folder = place / str(when)
        folder.mkdir()
        monkeypatch.chdir(folder)
        status = init_killed_at(when)
        init()
        assert check_sound() == ORIGIN
        assert all(name.startswith("audit_log.key.new.") for name in set(names()) - set(FILES))
        when += 1
    assert status == 0
    assert when > 30


@pytest.mark.parametrize("new_log", [False, True], ids=["init", "init --new-log"])
def test_a_killed_new_log_is_finished_and_no_key_serves_two_logs(
    place: Path, monkeypatch: pytest.MonkeyPatch, new_log: bool
) -> None:
    status, when = 9, 0
    while status == 9:
        folder = place / str(when)
        folder.mkdir()
        monkeypatch.chdir(folder)
        init()
        status = init_killed_at(when, new_log=True)
        try:
            init(new_log=new_log)
        except AuditCorrupt as error:  # killed while the log itself was retired: only --new-log continues
            assert "init --new-log starts another" in error.detail  # noqa: PT017
            init(new_log=True)
        logs = [(LOG, KEY), *retired_logs()]
        origins = [check_sound(*log) for log in logs]
        assert len(origins) == len(set(origins)), origins
        when += 1
    assert status == 0
    assert when > 30
