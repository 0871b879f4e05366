"""The signing loop: signs soon, records silence and clock changes, and survives every problem."""

from __future__ import annotations

import json
import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from app.audit.evidence.health import LogHealth
from app.audit.evidence.log_key import KeyFile, store_signer
from app.audit.evidence.log_watch import LogWatch
from app.audit.evidence.signed_log import SignedLog
from app.audit.evidence.signing_loop import SigningLoop
from app.errors import AuditCorrupt, AuditUnavailable, EvidenceUnavailable

from ....support.checked import chain_report
from ....support.evidence import SIGNER, KeptLog
from ....support.waiting import eventually

DAY, YEAR = 86_400.0, 31_557_600.0


class Clocks:
    """One that runs, and one that can be set."""

    def __init__(self) -> None:
        self.steady, self.offset = 1_000.0, 1.8e9

    def pass_time(self, seconds: float, drift: float = 0.0) -> None:
        self.steady += seconds
        self.offset += drift


class Desk:
    """A log with its signing loop, its clocks, and the events it reported."""

    def __init__(self, folder: Path, clocks: Clocks | None = None, alive_seconds: float = 60) -> None:
        self.kept, self.clocks = KeptLog(folder), clocks or Clocks()
        self.reported: list[tuple[str, str]] = []
        key, health = folder / "log.key", LogHealth()
        if not key.exists():
            store_signer(key, SIGNER)
            self.kept.signed()  # as `init` does
        watch = LogWatch(
            self.kept.store,
            self.kept.tree,
            self.kept.checkpoint_signer,
            KeyFile(key),
            health,
            self._report,
            bytes_per_second=1e9,
        )
        self.signing_loop = SigningLoop(
            self.kept.store,
            self.kept.checkpoint_signer,
            self._report,
            watch=watch,
            health=health,
            alive_seconds=alive_seconds,
            wall=lambda: self.clocks.steady + self.clocks.offset,
            steady=lambda: self.clocks.steady,
        )

    def _report(self, event: str, level: str, detail: str) -> None:
        self.reported.append((event, level))

    def records(self, action: str) -> list[dict[str, Any]]:
        return [record for line in self.kept.lines() if (record := json.loads(line))["action"] == action]

    def signed(self) -> int:
        head = self.kept.checkpoint_signer.published()
        return head.size if head else 0


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path)


@contextmanager
def running(*loops: SigningLoop) -> Iterator[None]:
    stop = threading.Event()
    threads = [threading.Thread(target=signing_loop.run, args=(stop,)) for signing_loop in loops]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        stop.set()
        for thread in threads:
            thread.join(20)
            assert not thread.is_alive()


# --- signing -------------------------------------------------------------------------------------


@pytest.mark.slow
def test_what_is_recorded_is_signed_soon_and_the_last_before_the_end(desk: Desk) -> None:
    with running(desk.signing_loop):
        eventually(lambda: desk.signed() == 1)
        desk.kept.add(10)
        eventually(lambda: desk.signed() == 11)
        desk.kept.add(1)
    assert desk.signed() == 12
    assert desk.reported == []


def test_a_step_says_whether_there_is_more_to_sign_at_once(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    desk.kept.signed()
    turn = desk.kept.checkpoint_signer.publish_next
    monkeypatch.setattr(desk.kept.checkpoint_signer, "publish_next", lambda: turn(at_most=20))
    desk.kept.add(49)
    assert [desk.signing_loop.step() for _ in range(4)] == [True, True, False, False]
    assert desk.signed() == 50


def test_a_damaged_tree_is_rebuilt_even_if_nothing_is_recorded(desk: Desk, tmp_path: Path) -> None:
    desk.kept.add_signed(3)
    desk.signing_loop.step()
    (tmp_path / "audit_log.tree/hashes.0").write_bytes(b"\0" * 128)
    with pytest.raises(EvidenceUnavailable):
        desk.kept.reader.receipt(2)
    desk.signing_loop.step()
    assert desk.kept.reader.receipt(2)


# --- silence -------------------------------------------------------------------------------------


def test_silence_is_recorded_once_a_minute_and_signed(desk: Desk) -> None:
    for _ in range(300):
        desk.clocks.pass_time(0.5)
        desk.signing_loop.step()
    alive = desk.records("log.alive")
    assert [record["details"] for record in alive] == [{"silent_seconds": 60}] * 2
    assert desk.signed() == 3


def test_a_log_that_is_written_to_is_not_silent(desk: Desk) -> None:
    for _ in range(20):
        desk.clocks.pass_time(30)
        desk.kept.add(1)
        desk.signing_loop.step()
    assert desk.records("log.alive") == []


def test_two_loops_that_find_the_same_silence_record_it_once(tmp_path: Path) -> None:
    """Each has seen that nothing was recorded before the first one writes."""
    one = Desk(tmp_path)
    other = Desk(tmp_path, one.clocks)
    for desk in (one, other):
        desk.signing_loop.step()
    one.clocks.pass_time(61)
    durable = other.kept.store.durable()
    one.signing_loop.step()
    other.kept.store.durable = lambda: durable  # type: ignore[method-assign]
    other.signing_loop.step()
    assert len(one.records("log.alive")) == 1


# --- the clock -----------------------------------------------------------------------------------


@pytest.mark.parametrize("step", [YEAR, -DAY, 5.5, -5.5])
def test_a_clock_that_is_set_is_recorded_once_with_the_seconds(desk: Desk, step: float) -> None:
    desk.signing_loop.step()
    desk.clocks.pass_time(0.4, drift=step)
    for _ in range(5):
        desk.signing_loop.step()
        desk.clocks.pass_time(0.4)
    [record] = desk.records("log.clock_stepped")
    assert record["details"] == {"seconds": step}
    assert desk.reported == [("clock_stepped", "WARNING")]
    assert chain_report(desk.kept.log).ok
    assert desk.signed() == len(desk.kept.lines()) == 2


def test_each_step_has_its_record(desk: Desk) -> None:
    for step in (-DAY, YEAR):
        desk.clocks.pass_time(0.4, drift=step)
        desk.signing_loop.step()
    assert [record["details"]["seconds"] for record in desk.records("log.clock_stepped")] == [-DAY, YEAR]


def test_small_drifts_and_a_machine_that_sleeps_are_no_step(desk: Desk) -> None:
    for seconds in (0.4, 3_600.0, DAY):
        for drift in (0.01, 4.9, -4.9):
            desk.clocks.pass_time(seconds, drift)
            desk.kept.add(1)
            desk.signing_loop.step()
    assert desk.records("log.clock_stepped") == []


def test_steps_that_cannot_be_recorded_now_are_recorded_later_as_a_sum(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    desk.signing_loop.step()
    with monkeypatch.context() as patch:
        patch.setattr(desk.kept.store, "append", refuse)
        for step in (YEAR, -DAY):
            desk.clocks.pass_time(0.4, drift=step)
            desk.signing_loop.step()
    assert desk.records("log.clock_stepped") == []
    desk.signing_loop.step()
    desk.signing_loop.step()
    [record] = desk.records("log.clock_stepped")
    assert record["details"] == {"seconds": YEAR - DAY}


def refuse(*_: Any) -> None:
    raise AuditUnavailable("The audit log cannot be written: No space left on device.")


# --- problems ------------------------------------------------------------------------------------


def test_a_full_disk_is_reported_once_and_signing_resumes_later(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: Any) -> None:
        raise EvidenceUnavailable("The log's tree cannot be written: No space left on device.")

    desk.signing_loop.step()
    desk.kept.add(3)
    with monkeypatch.context() as patch:
        patch.setattr(desk.kept.tree, "extend", full)
        for _ in range(5):
            assert desk.signing_loop.step() is False
    assert desk.signed() == 1
    for _ in range(5):
        desk.signing_loop.step()
    assert desk.signed() == 4
    assert desk.reported == [("head_not_signed", "ERROR"), ("head_signed_again", "INFO")]


def test_a_log_unlike_what_was_signed_is_reported_once_as_critical(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    desk.kept.add(300)
    desk.signing_loop.step()
    desk.kept.path.write_bytes(desk.kept.path.read_bytes().replace(b'"query":"7"', b'"query":"8"'))
    desk.kept.tree.mark_damaged()
    for _ in range(5):
        assert desk.signing_loop.step() is False
    assert desk.reported == [("log_not_as_signed", "CRITICAL")]
    for _ in range(2):
        with pytest.raises(AuditCorrupt, match="Record 8 "):
            desk.kept.checkpoint_signer.publish_next()
        monkeypatch.setattr(SignedLog, "rebuild_tree", refuse)  # the log is read once


def test_unexpected_errors_do_not_end_the_loop_and_each_kind_is_told(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    desk.kept.add(1)
    with monkeypatch.context() as patch:
        for fault in (lambda: 1 / 0, lambda: int("none")):
            patch.setattr(desk.kept.checkpoint_signer, "publish_next", fault)
            assert desk.signing_loop.step() is False
    told = [one.exc_info[0] for one in caplog.records if one.exc_info and "failed unexpectedly" in one.message]
    assert told == [ZeroDivisionError, ValueError]
    assert desk.reported == [("head_not_signed", "ERROR")]
    desk.signing_loop.step()
    assert desk.signed() == 2


def test_a_new_loop_signs_nothing_if_the_checkpoint_was_removed(desk: Desk, tmp_path: Path) -> None:
    desk.kept.add_signed(3)
    shutil.rmtree(tmp_path / "audit_log.tree")
    begun = Desk(tmp_path)
    begun.signing_loop.step()
    assert not (tmp_path / "audit_log.tree/checkpoint").exists()
