"""The files of hits: whole hits count, those of old minutes are removed, strangers have a bound."""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from app.limits.shared_hits import HIT, SharedHits

ALICE, BOBBY = b"alice".ljust(16), b"bobby".ljust(16)


@pytest.fixture
def hits(tmp_path: Path) -> Iterator[SharedHits]:
    with closing(SharedHits(tmp_path / "limits", 1000)) as hits:
        yield hits


def opened(path: Path, now: float) -> SharedHits:
    hits = SharedHits(path, 1000)
    hits.turn(now)
    return hits


def count(path: Path, key: bytes, now: float) -> int:
    """As a process sees it that begins now."""
    with closing(opened(path, now)) as hits:
        return hits.window(key, now)[1]


def test_a_hit_is_a_digest_and_a_time(hits: SharedHits, tmp_path: Path) -> None:
    hits.turn(119.0)
    assert hits.add(ALICE, 119.0)
    hits.turn(120.0)
    assert hits.add(BOBBY, -120.0)
    assert (tmp_path / "limits.1").read_bytes() == b"alice           " + struct.pack("<d", 119.0)
    assert (tmp_path / "limits.2").read_bytes() == b"bobby           " + struct.pack("<d", -120.0)


def test_only_the_files_of_two_minutes_are_kept(hits: SharedHits, tmp_path: Path) -> None:
    for minute in (5, 6, 7, 8, 20):
        hits.turn(60.0 * minute)
        assert hits.add(ALICE, 60.0 * minute)
        assert {file.name for file in tmp_path.iterdir()} == {f"limits.{minute - 1}", f"limits.{minute}"}
    assert hits._older == {}


def test_what_others_wrote_before_a_minute_ended_is_read_after_it(hits: SharedHits, tmp_path: Path) -> None:
    hits.turn(60.0)
    with closing(opened(tmp_path / "limits", 60.0)) as other:
        other.add(ALICE, 119.0)
        other.turn(121.0)
        other.add(ALICE, 121.0)
    assert not hits.read(121.5)
    hits.turn(121.5)
    assert hits.window(ALICE, 121.5) == (119.0, 2)
    assert hits.window(ALICE, 179.0) == (121.0, 1)


@pytest.mark.parametrize("size", range(1, HIT.size))
def test_the_start_of_a_hit_at_the_end_counts_for_nothing(hits: SharedHits, tmp_path: Path, size: int) -> None:
    """As a process leaves it that is killed while it writes."""
    hits.turn(60.0)
    hits.add(ALICE, 60.0)
    with (tmp_path / "limits.1").open("ab") as file:
        file.write(HIT.pack(BOBBY, 60.5)[:size])
    assert hits.read(61.0)
    assert hits.window(BOBBY, 61.0) == (61.0, 0)
    with closing(opened(tmp_path / "limits", 61.0)) as other:
        assert other.add(ALICE, 61.0)
    assert hits.read(61.0)
    assert hits.window(ALICE, 61.0) == (60.0, 2)
    assert count(tmp_path / "limits", ALICE, 61.0) == 2
    assert (tmp_path / "limits.1").stat().st_size == 2 * HIT.size


@pytest.mark.parametrize("text", [b"a text of somebody else " * 3, HIT.pack(ALICE, 59.0), HIT.pack(ALICE, float("nan"))])
def test_a_file_of_something_else_is_refused_for_two_minutes(tmp_path: Path, text: bytes) -> None:
    (tmp_path / "limits.1").write_bytes(text)
    hits = SharedHits(tmp_path / "limits", 1000)
    for now in (60.0, 61.0, 121.0):
        assert not hits.read(now)
        with pytest.raises(OSError, match="changed by something else"):
            hits.turn(now)
    hits.turn(180.0)
    assert hits.add(ALICE, 180.0)
    hits.close()


def test_a_file_is_read_again_once_it_is_mended(hits: SharedHits, tmp_path: Path) -> None:
    hits.turn(60.0)
    hits.add(ALICE, 60.0)
    with (tmp_path / "limits.1").open("ab") as file:
        file.write(HIT.pack(ALICE, 61.0) + b"a text of somebody else ")
    with pytest.raises(OSError, match="changed by something else"):
        hits.read(61.0)
    os.truncate(tmp_path / "limits.1", HIT.size)
    hits.turn(61.0)
    assert hits.window(ALICE, 61.0) == (60.0, 1)


def test_what_does_not_fit_is_no_hit(hits: SharedHits, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hits.turn(60.0)
    write = os.pwrite
    with monkeypatch.context() as patch:
        patch.setattr(os, "pwrite", lambda fd, data, at: write(fd, data[:30], at))
        with pytest.raises(OSError, match="No space left"):
            hits.add(ALICE, 60.0, count=2)
    assert (tmp_path / "limits.1").stat().st_size == 0
    assert hits.window(ALICE, 60.0)[1] == 0
    assert hits.add(ALICE, 60.0)


def test_no_more_hits_than_the_bound_are_taken_in_a_minute(hits: SharedHits) -> None:
    hits.turn(60.0)
    assert hits.add(ALICE, 60.0, count=999)
    assert not hits.add(BOBBY, 60.0, count=2)
    assert hits.add(BOBBY, 60.0)
    assert not hits.add(BOBBY, 60.0)
    hits.turn(120.0)
    assert hits.add(BOBBY, 120.0)
