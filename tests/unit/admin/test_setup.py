"""init: the log, its key and its first head; whoever dies in between, the next init finishes; no name ever has two logs."""

from __future__ import annotations

import json
import multiprocessing
import os
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from app.admin import log_setup, setup
from app.audit.evidence import log_key
from app.audit.evidence import stored_tree as tree
from app.audit.evidence.log_key import load_signer
from app.audit.format.merkle import leaf_hash, root_of
from app.audit.format.note import Signer, VerifierKey, verify_checkpoint
from app.audit.log import AuditLog
from app.audit.storage import jsonl, locks, recovery
from app.audit.storage import marks as mark
from app.audit.storage.jsonl import JsonlStore
from app.errors import AuditCorrupt, ConfigError
from app.kit import durable_files as files
from app.settings import load_settings
from app.wiring.start_checks import checked_signer

FORK = multiprocessing.get_context("fork")
ORIGIN = "example.com/log"
FILES = ["audit_log.jsonl", "audit_log.jsonl.lock", "audit_log.jsonl.sync", "audit_log.key", "audit_log.tree", "clients.sqlite3"]
LOG, KEY = Path("logs/audit_log.jsonl"), Path("logs/audit_log.key")


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder, which is the current one."""
    for name, value in {"SECRET_KEY": "s" * 43, "AUDIT_ORIGIN": ORIGIN, "OPENAI_BASE_URL": "http://127.0.0.1:1/v1"}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def init(*, new_log: bool = False) -> setup.SetupResult:
    return setup.set_up(new_log=new_log)


def check_sound(log: Path = LOG, key: Path = KEY) -> str:
    """A log, its first record that names its key, its head signed by that; the log's name."""
    lines = log.read_bytes().split(b"\n")[:-1]
    details = json.loads(lines[0])["details"]
    signer = load_signer(key)
    assert details["vkey"] == signer.verifier_key.text()
    assert details["origin"] == signer.name
    checkpoint = log.with_suffix(".tree") / "checkpoint"
    if not checkpoint.exists():
        assert log != LOG  # an init that was killed had not signed it yet when the next one set it aside
        assert len(lines) == 1
        return signer.name
    head = verify_checkpoint(checkpoint.read_bytes(), VerifierKey.parse(details["vkey"]))
    assert head.root == root_of(leaf_hash(line) for line in lines[: head.size])
    assert AuditLog(JsonlStore(log)).verify().ok
    return signer.name


def names() -> list[str]:
    return sorted(os.listdir("logs"))


def set_aside() -> list[tuple[Path, Path]]:
    """The logs that were set aside, with their keys."""
    return [(log, log.with_suffix(".key")) for log in sorted(Path("logs").glob("audit_log.retired.*.jsonl"))]


def test_init_makes_a_key_of_the_log_s_name_and_the_first_record_names_it() -> None:
    made = init()
    assert made.log_key == KEY
    assert made.first_record is not None
    assert stat.S_IMODE(KEY.stat().st_mode) == 0o600
    assert check_sound() == ORIGIN
    assert names() == FILES


def test_init_again_changes_nothing(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("SECRET_KEY", "AUDIT_ORIGIN"):  # then .env is made, too
        monkeypatch.delenv(name)
    init()
    before = {path: path.read_bytes() for path in place.rglob("*") if path.is_file()}
    assert init() == setup.SetupResult()
    assert {path: path.read_bytes() for path in place.rglob("*") if path.is_file()} == before
    assert f"AUDIT_ORIGIN={check_sound()}\n" in Path(".env").read_text()


def test_many_inits_at_once_make_one_log_with_one_key() -> None:
    queue = FORK.Queue()
    processes = [FORK.Process(target=lambda: queue.put(init())) for _ in range(4)]
    for process in processes:
        process.start()
    made = [queue.get(timeout=60) for _ in processes]
    for process in processes:
        process.join(60)
    for part in ("first_record", "log_key", "database"):
        assert sum(getattr(one, part) is not None for one in made) == 1
    check_sound()
    assert names() == FILES


def test_a_new_log_has_a_new_name_and_key_and_the_old_one_is_kept_whole_under_matching_names() -> None:
    """Again and again: every one of them has a name of its own."""
    init()
    for _ in range(2):
        assert init(new_log=True).log_key == KEY
    logs = [(LOG, KEY), *set_aside()]
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


# --- refused at the start ------------------------------------------------------------------------


def check_refused(what: str, kind: type[Exception] = ConfigError) -> None:
    with pytest.raises(kind, match=what):
        checked_signer(load_settings()).verify_start()


def test_a_log_does_not_start_under_another_name_or_with_a_key_that_others_can_read(monkeypatch: pytest.MonkeyPatch) -> None:
    init()
    with monkeypatch.context() as patch:
        patch.setenv("AUDIT_ORIGIN", "other/log")
        check_refused("AUDIT_ORIGIN is other/log, but this log is called example.com/log")
    KEY.chmod(0o644)
    check_refused("can be read by others than the service: chmod 600")


def test_a_log_does_not_start_with_a_broken_or_another_log_s_key() -> None:
    init()
    KEY.write_bytes(b"")
    check_refused("holds no log key")
    KEY.unlink()
    log_key.store_signer(KEY, Signer.generate(ORIGIN))
    check_refused("not signed by the log key", AuditCorrupt)
    Path("logs/audit_log.tree/checkpoint").unlink()
    check_refused("begun under another log key", AuditCorrupt)


def test_a_log_that_lost_its_key_is_refused_by_the_command_line_and_by_init_in_one_sentence() -> None:
    init()
    KEY.unlink()
    for command in ("init", "serve"):
        done = subprocess.run(
            [sys.executable, "-m", "app", command],
            env={**os.environ, "PYTHONPATH": str(Path(setup.__file__).parents[2])},
            capture_output=True,
            text=True,
            timeout=120,
        )
        assert done.returncode == 2
        assert "is missing, and this log is signed with it. Restore it;" in done.stderr
        assert "Traceback" not in done.stderr


# --- killed in between ---------------------------------------------------------------------------


@pytest.fixture
def plain_database(monkeypatch: pytest.MonkeyPatch) -> None:
    """A file in its place: to make hundreds takes too long, and it is the log that is looked at."""

    def create(_: Path) -> bool:
        is_new = not Path("logs/clients.sqlite3").exists()
        Path("logs/clients.sqlite3").touch()
        return is_new

    monkeypatch.setattr(setup, "create_or_upgrade_database", create)


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
        for module in (files, jsonl, locks, mark, recovery, log_key, tree, setup, log_setup):
            module.os = deadly  # type: ignore[attr-defined]
        init(new_log=new_log)

    return in_a_child(work)


@pytest.mark.usefixtures("plain_database")
def test_an_init_that_is_killed_at_any_call_is_finished_by_the_next(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
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
def test_a_new_log_that_is_killed_at_any_call_is_finished_by_the_next_and_no_key_serves_two_logs(
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
        except AuditCorrupt as error:  # while the files are exchanged the log is not itself: only --new-log goes on from there
            assert "init --new-log starts another" in error.detail  # noqa: PT017
            init(new_log=True)
        logs = [(LOG, KEY), *set_aside()]
        origins = [check_sound(*log) for log in logs]
        assert len(origins) == len(set(origins)), origins
        when += 1
    assert status == 0
    assert when > 30
