"""The log, its key and its first checkpoint: a killed `init` is finished by the next, and no two logs share a name."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from app.admin import log_setup, setup
from app.audit.evidence.log_key import load_signer
from app.audit.log import AuditLog
from app.audit.storage.jsonl import JsonlStore
from app.errors import AuditCorrupt
from app.settings import load_settings
from app.wiring.start_checks import checked_signer

from ...support.installation import FILES, KEY, LOG, ORIGIN, check_sound, init, names, retired_logs
from ...support.replaced_os import replaced_os


def test_the_first_record_names_the_log_and_its_private_key() -> None:
    made = init()
    assert made.log_key == KEY
    assert made.first_record is not None
    assert stat.S_IMODE(KEY.stat().st_mode) == 0o600
    assert check_sound() == ORIGIN
    assert names() == FILES


def test_a_new_log_has_its_own_name_and_key_and_the_old_one_is_kept() -> None:
    """Twice in a row: no two of them share a name."""
    init()
    for _ in range(2):
        assert init(new_log=True).log_key == KEY
    logs = [(LOG, KEY), *retired_logs()]
    origins = {check_sound(*log) for log in logs}
    assert len(origins) == len(logs) == 3
    assert all(origin == ORIGIN or origin.startswith(f"{ORIGIN}/") for origin in origins)
    assert len(names()) == len(FILES) + 2 * 3
    checked_signer(load_settings()).verify_start()


def test_a_new_log_after_the_key_was_lost_does_not_take_the_old_name() -> None:
    init()
    KEY.unlink()
    init(new_log=True)
    assert check_sound() != ORIGIN


def test_a_log_from_before_logs_were_signed_gets_a_key() -> None:
    store = JsonlStore(LOG)
    AuditLog(store).create({"software": "secure-ai-assistant 0.0.9"})
    store.close()
    made = init()
    assert (made.first_record, made.log_key) == (None, KEY)
    assert load_signer(KEY).name == ORIGIN
    checked_signer(load_settings()).verify_start()
    assert init() == setup.SetupResult()


# --- killed in between ---------------------------------------------------------------------------


def in_a_child(work: Callable[[], object]) -> int:
    """The exit status of a process that does *work*."""
    pid = os.fork()
    if pid == 0:
        try:
            work()
            os._exit(0)
        finally:
            os._exit(1)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


class DeadlyOs:
    """The process ends before its call number *when*."""

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


@pytest.mark.usefixtures("plain_database")
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


@pytest.mark.usefixtures("plain_database")
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
