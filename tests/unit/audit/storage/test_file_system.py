"""A file system whose locks do not hold is refused; any other, or an unknown one, is not."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from app.audit.storage import file_system
from app.audit.storage.file_system import LOCKS_DO_NOT_HOLD, file_system_type, verify_locks_hold
from app.errors import ConfigError

from ....support.optional import leave_out

EXT4, FUSE = 0xEF53, 0x65735546


@pytest.mark.parametrize("kind", LOCKS_DO_NOT_HOLD, ids=hex)
def test_a_network_file_system_is_refused_by_its_name(kind: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(file_system, "file_system_type", lambda path: kind)
    with pytest.raises(ConfigError, match=rf"network file system \({LOCKS_DO_NOT_HOLD[kind]}\).+name a path on a disk"):
        verify_locks_hold(tmp_path / "log")


@pytest.mark.parametrize("kind", [EXT4, FUSE, None], ids=["ext4", "fuse", "unknown"])
def test_any_other_file_system_is_accepted(kind: int | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(file_system, "file_system_type", lambda path: kind)
    verify_locks_hold(tmp_path / "log")


def test_the_nearest_folder_that_exists_is_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Path] = []
    monkeypatch.setattr(file_system, "file_system_type", asked.append)
    verify_locks_hold(tmp_path / "not" / "yet" / "log")
    assert asked == [tmp_path]


def test_the_type_is_the_one_that_coreutils_reads(tmp_path: Path) -> None:
    """So it is the right field of the right structure."""
    if sys.platform != "linux" or shutil.which("stat") is None:
        leave_out("only Linux is asked")
    for place in (tmp_path, Path("/proc"), Path("/dev/shm")):
        told = subprocess.run(["stat", "--file-system", "--format=%t", str(place)], capture_output=True, text=True, check=True)
        assert file_system_type(place) == int(told.stdout, 16)
    assert file_system_type(tmp_path / "nowhere") is None


def test_a_folder_that_is_no_network_file_system_is_let_through(tmp_path: Path) -> None:
    if file_system_type(tmp_path) in LOCKS_DO_NOT_HOLD:
        with pytest.raises(ConfigError):
            verify_locks_hold(tmp_path / "log")
    else:
        verify_locks_hold(tmp_path / "log")
