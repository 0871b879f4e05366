"""The watch over a log in use: it closes for what is not as signed, restores what can be derived, and opens again."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import pytest

from app.audit.evidence.health import LogHealth
from app.audit.evidence.log_key import KeyFile, store_signer
from app.audit.evidence.log_watch import PASS_SECONDS, LogWatch
from app.audit.evidence.signing_loop import SigningLoop

from ....support.changed_files import add, copy_over, edit
from ....support.evidence import SIGNER, KeptLog

RECORDS = 1_600


class Desk:
    """A signing loop with its watch, and what it reported. Time passes only where a test says so."""

    def __init__(self, folder: Path, health: LogHealth | None = None, bytes_per_second: float = 1e9) -> None:
        self.kept, self.health, self.now = KeptLog(folder), health or LogHealth(), 1_000.0
        self.key = folder / "log.key"
        if not self.key.exists():
            store_signer(self.key, SIGNER)
            self.kept.signed()  # as `init` does
        self.reported: list[tuple[str, str]] = []
        self.watch = LogWatch(
            self.kept.store,
            self.kept.tree,
            self.kept.checkpoint_signer,
            KeyFile(self.key),
            self.health,
            self._report,
            bytes_per_second=bytes_per_second,
            steady=lambda: self.now,
        )
        self.signing_loop = SigningLoop(
            self.kept.store, self.kept.checkpoint_signer, self._report, watch=self.watch, health=self.health
        )

    def _report(self, event: str, level: str, detail: str) -> None:
        self.reported.append((event, level))

    def step(self, seconds: float = 0.6) -> str | None:
        """Why the log is closed after one step."""
        self.now += seconds
        self.signing_loop.step()
        return self.health.problem

    def actions(self) -> list[str]:
        return [json.loads(line)["action"] for line in self.kept.lines()]


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    desk = Desk(tmp_path)
    desk.kept.add(RECORDS - 1)
    for _ in range(3):
        assert desk.step() is None
    assert desk.health.size == RECORDS
    return desk


def test_a_log_that_only_grows_stays_open(desk: Desk) -> None:
    for count in (1, 500, 2_000):
        desk.kept.add(count)
        for _ in range(3):
            assert desk.step() is None
            desk.signing_loop.look()
    assert desk.reported == []
    assert desk.health.recheck.position == desk.health.recheck.size == desk.kept.path.stat().st_size
    assert desk.health.recheck.passes > 1


def remove(path: Path) -> None:
    path.unlink()


DAMAGES: dict[str, Callable[[Path], object]] = {
    "removed": remove,
    "cut": lambda path: os.truncate(path, 40),
    "emptied": lambda path: os.truncate(path, 0),
    "edited": lambda path: edit(path, 33),
    "replaced": copy_over,
}
CHANGES: dict[str, Callable[[Path], object]] = {
    "a recent record edited": lambda log: edit(log, -5_000),
    "an old record edited": lambda log: edit(log, 5_000),
    "cut": lambda log: os.truncate(log, log.stat().st_size - 1_000),
    "removed": lambda log: log.unlink(),
    "a junk line added": lambda log: add(log, b"junk\n"),
    "the checkpoint removed": lambda log: (log.with_suffix(".tree") / "checkpoint").unlink(),
    "the checkpoint edited": lambda log: edit(log.with_suffix(".tree") / "checkpoint", 60),
    "the checkpoint emptied": lambda log: os.truncate(log.with_suffix(".tree") / "checkpoint", 0),
    "the tree removed": lambda log: shutil.rmtree(log.with_suffix(".tree")),
}


@pytest.mark.parametrize("what", CHANGES)
def test_a_log_that_is_not_what_was_signed_is_closed_until_it_is_restored(desk: Desk, tmp_path: Path, what: str) -> None:
    shutil.copytree(desk.kept.tree.folder, tmp_path / "tree")
    shutil.copy(desk.kept.path, tmp_path / "log")
    CHANGES[what](desk.kept.path)
    assert desk.step(PASS_SECONDS)
    for _ in range(3):
        assert desk.step()
    assert desk.reported == [("log_not_as_signed", "CRITICAL")]
    shutil.copyfile(tmp_path / "log", desk.kept.path)
    shutil.copytree(tmp_path / "tree", desk.kept.tree.folder, dirs_exist_ok=True)
    assert desk.step() is None
    assert desk.reported[1:] == [("log_as_signed_again", "WARNING")]
    desk.kept.add(1)
    assert desk.step() is None
    assert desk.health.size == RECORDS + 1


def test_a_lost_checkpoint_is_kept_beside_for_the_operator(desk: Desk) -> None:
    folder = desk.kept.tree.folder
    note = (folder / "checkpoint").read_bytes()
    (folder / "checkpoint").unlink()
    assert desk.step()
    assert (folder / "checkpoint.kept").read_bytes() == note
    (folder / "checkpoint.kept").rename(folder / "checkpoint")
    assert desk.step() is None


def test_a_copy_in_place_of_the_log_is_read_whole_before_it_opens(desk: Desk) -> None:
    copy_over(desk.kept.path)
    assert desk.step()
    assert desk.step() is None
    edited = desk.kept.path.read_bytes()
    edit(desk.kept.path, 5_000)
    copy_over(desk.kept.path)
    for _ in range(4):
        assert desk.step()
    desk.kept.path.write_bytes(edited)
    assert desk.step() is None


def test_a_notary_that_starts_anew_finds_the_log_closed_and_the_old_size(desk: Desk, tmp_path: Path) -> None:
    folder = desk.kept.tree.folder
    old = (folder / "checkpoint").read_bytes()
    desk.kept.add(1)
    desk.step()
    new = (folder / "checkpoint").read_bytes()
    desk.kept.path.write_bytes(desk.kept.path.read_bytes() + b"junk\n")
    assert desk.step()
    desk.kept.store.close()
    again = Desk(tmp_path, desk.health)
    assert again.step()
    os.truncate(desk.kept.path, desk.kept.path.stat().st_size - 5)
    (folder / "checkpoint").write_bytes(old)  # signed by our key, and served before; but a later one was, too
    assert again.step()
    (folder / "checkpoint").write_bytes(new)
    assert Desk(tmp_path, desk.health).step() is None


@pytest.mark.parametrize("name", ["hashes.0", "hashes.1", "ends"])
@pytest.mark.parametrize("how", ["removed", "cut", "edited"])
def test_a_damaged_tree_is_rebuilt_and_that_is_recorded(desk: Desk, name: str, how: str) -> None:
    path = desk.kept.tree.folder / name
    before = path.read_bytes()
    DAMAGES[how](path)
    for _ in range(4):
        assert desk.step(PASS_SECONDS) is None
    assert desk.actions().count("log.tree_rebuilt") == 1
    assert desk.reported == [("tree_rebuilt", "WARNING")]
    assert path.read_bytes()[: len(before) - 64] == before[: len(before) - 64]
    assert desk.health.size == RECORDS + 1


@pytest.mark.parametrize("name", ["lock", "sync"])
@pytest.mark.parametrize("how", ["removed", "emptied", "replaced"])
def test_lock_files_are_restored(desk: Desk, name: str, how: str) -> None:
    path = desk.kept.path.with_name(f"{desk.kept.path.name}.{name}")
    DAMAGES[how](path)
    for _ in range(4):
        assert desk.step() is None
    assert path.exists()
    assert desk.kept.store.durable() is not None
    expected = [] if (name, how) == ("sync", "emptied") else [("log_locks_restored", "WARNING")]
    assert desk.reported == expected
    desk.kept.add(1)
    assert desk.step() is None
    assert desk.health.size == RECORDS + 1


@pytest.mark.parametrize("how", ["removed", "edited"])
def test_the_verifier_key_is_restored(desk: Desk, how: str) -> None:
    path = desk.kept.tree.folder / "vkey"
    before = path.read_bytes()
    edit(path, 3)
    if how == "removed":
        path.unlink()
    assert desk.step() is None
    assert path.read_bytes() == before
    assert desk.reported == [("verifier_key_restored", "WARNING")]


def test_a_lost_log_key_is_told_and_closes_nothing(desk: Desk) -> None:
    desk.key.rename(desk.key.with_name("away"))
    for _ in range(3):
        assert desk.step() is None
    assert desk.health.is_key_lost
    desk.kept.add(1)
    assert desk.step() is None
    assert desk.health.size == RECORDS + 1, "the notary holds the key in memory"
    desk.key.with_name("away").rename(desk.key)
    assert desk.step() is None
    assert desk.reported == [("log_key_lost", "CRITICAL"), ("log_key_back", "INFO")]


def test_a_pass_reads_no_more_than_its_rate(tmp_path: Path) -> None:
    desk = Desk(tmp_path, bytes_per_second=100_000)
    desk.kept.add(RECORDS - 1)
    desk.step(0.01)
    passes, positions = desk.health.recheck.passes, [0]
    while desk.health.recheck.passes == passes:
        assert desk.step(0.5) is None
        positions.append(desk.health.recheck.position)
    tile, size = 256 * 400, desk.kept.path.stat().st_size
    steps = [after - before for before, after in pairwise(positions) if after > before]
    assert sum(steps) == size
    assert max(steps) <= 50_000 + tile


def test_an_idle_log_is_not_read_over_and_over(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("app.audit.evidence.log_watch.SETTLED_SECONDS", -10.0)
    for _ in range(3):
        desk.step(PASS_SECONDS)
    passes = desk.health.recheck.passes
    for _ in range(10):
        desk.step(PASS_SECONDS)
    assert desk.health.recheck.passes == passes
    desk.kept.add(1)
    desk.step(PASS_SECONDS)
    assert desk.health.recheck.passes > passes
