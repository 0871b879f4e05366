"""`init` makes what is missing, alone, once; it replaces no log that was lost or that a service uses."""

from __future__ import annotations

import multiprocessing
from pathlib import Path

import pytest

from app.admin import setup
from app.audit.format.record import Receipt
from app.audit.storage.running import marked_running
from app.errors import AuditCorrupt, ConfigError

from ...support.installation import FILES, KEY, LOG, check_sound, init, names

FORK = multiprocessing.get_context("fork")


def test_it_reports_what_it_made(place: Path) -> None:
    made = init()
    assert (made.env_file, made.audit_log, made.log_key) == (None, LOG, KEY)
    assert made.database == place / "logs" / "clients.sqlite3"
    assert isinstance(made.first_record, Receipt)
    assert made.first_record.seq == 0
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


@pytest.mark.parametrize("text", ["", "LLM_MODEL=x\n"])
def test_an_env_file_written_by_hand_gets_the_log_name(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AUDIT_ORIGIN")
    Path(".env").write_text(text)
    assert init().env_file is None
    assert Path(".env").read_text() == f"{text}AUDIT_ORIGIN={check_sound()}\n"


def test_a_key_that_is_there_names_the_log(monkeypatch: pytest.MonkeyPatch) -> None:
    init()
    monkeypatch.delenv("AUDIT_ORIGIN")
    Path(".env").touch()
    init()
    assert Path(".env").read_text() == f"AUDIT_ORIGIN={check_sound()}\n"


def test_a_log_that_was_lost_is_replaced_only_by_new_log() -> None:
    init()
    LOG.unlink()
    with pytest.raises(AuditCorrupt, match="is missing, but"):
        init()
    assert init(new_log=True).first_record is not None
    check_sound()


def test_no_new_log_while_a_service_runs_on_this_one() -> None:
    init()
    before = LOG.read_bytes()
    with marked_running(LOG), pytest.raises(ConfigError, match="A service is running on this log"):
        init(new_log=True)
    assert LOG.read_bytes() == before
    assert init(new_log=True).log_key == KEY


def test_a_folder_that_cannot_be_used_is_refused_with_its_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AUDIT_LOG_PATH", "loop/log.jsonl")
    Path("loop").symlink_to("loop")
    with pytest.raises(ConfigError, match="AUDIT_LOG_PATH"):
        init()
