"""Durable files: what is there after a crash or a power loss at any call, and what a failing disk leaves."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest import mock

import pytest

from app.kit import durable_files
from app.kit.durable_files import create_file, is_same_file, read_at, replace_file, write_at, write_file, write_pieces

from ...support.forgetful_tree import ForgetfulTree
from ...support.replaced_os import Died, RealOs

OLD, NEW = b"old", b"new content"


@contextmanager
def on(disk: object) -> Iterator[None]:
    with mock.patch.object(durable_files, "os", disk):
        yield


class Limited(RealOs):
    """A disk that takes at most *most* bytes at a time, and fails once *space* is used up."""

    def __init__(self, most: int, space: int = 1 << 30) -> None:
        self._most, self._space = most, space

    def pwrite(self, fd: int, data: Any, offset: int) -> int:
        if self._space <= 0:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        written = os.pwrite(fd, data[: min(self._most, self._space)], offset)
        self._space -= written
        return written

    def pread(self, fd: int, length: int, offset: int) -> bytes:
        return os.pread(fd, min(length, self._most), offset)


# --- a descriptor --------------------------------------------------------------------------------


def test_short_writes_and_short_reads_are_continued(tmp_path: Path) -> None:
    fd = os.open(tmp_path / "file", os.O_RDWR | os.O_CREAT)
    with on(Limited(3)):
        write_at(fd, b"0123456789", 5)
        assert read_at(fd, 5, 15) == b"0123456789"
        assert read_at(fd, 7, 7) == b""
    os.close(fd)


def test_a_read_past_the_end_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"123")
    fd = os.open(tmp_path / "file", os.O_RDWR)
    with pytest.raises(OSError, match="ended while it was read"):
        read_at(fd, 0, 4)
    os.close(fd)


def test_a_disk_that_takes_nothing_is_full(tmp_path: Path) -> None:
    fd = os.open(tmp_path / "file", os.O_RDWR | os.O_CREAT)
    with on(Limited(0)), pytest.raises(OSError, match="took nothing") as full:
        write_at(fd, b"1", 0)
    assert full.value.errno == errno.ENOSPC
    os.close(fd)


def test_a_replaced_or_missing_file_is_not_the_open_one(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.touch()
    fd = os.open(path, os.O_RDONLY)
    assert is_same_file(fd, str(path))
    path.rename(tmp_path / "other")
    assert not is_same_file(fd, str(path))
    path.touch()
    assert not is_same_file(fd, str(path))
    os.close(fd)


# --- whole files ---------------------------------------------------------------------------------


def write_one(path: Path, data: bytes) -> None:
    write_file(path, (data[:3], data[3:]))


WRITERS: dict[str, Callable[[Path, bytes], None]] = {"write": write_one, "create": create_file, "replace": replace_file}


@pytest.mark.parametrize("how", WRITERS)
def test_a_new_file_is_private_and_nothing_else_is_left(tmp_path: Path, how: str) -> None:
    path = tmp_path / "file"
    with on(Limited(4)):
        WRITERS[how](path, NEW)
    assert (path.read_bytes(), stat.S_IMODE(path.stat().st_mode), path.stat().st_nlink) == (NEW, 0o600, 1)
    assert os.listdir(tmp_path) == ["file"]


@pytest.mark.parametrize("how", ["write", "create"])
def test_a_file_that_exists_is_not_written_over(tmp_path: Path, how: str) -> None:
    path = tmp_path / "file"
    path.write_bytes(OLD)
    with pytest.raises(FileExistsError):
        WRITERS[how](path, NEW)
    assert (os.listdir(tmp_path), path.read_bytes()) == (["file"], OLD)


def test_a_file_that_exists_is_replaced(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(OLD)
    replace_file(path, NEW)
    assert (os.listdir(tmp_path), path.read_bytes()) == (["file"], NEW)


@pytest.mark.parametrize("how", WRITERS)
def test_a_full_disk_leaves_nothing(tmp_path: Path, how: str) -> None:
    with on(Limited(4, space=6)), pytest.raises(OSError, match="No space left"):
        WRITERS[how](tmp_path / "file", NEW)
    assert os.listdir(tmp_path) == []


def test_a_name_that_is_a_folder_cannot_be_replaced_and_nothing_is_left(tmp_path: Path) -> None:
    (tmp_path / "file").mkdir()
    with pytest.raises(IsADirectoryError):
        replace_file(tmp_path / "file", NEW)
    assert os.listdir(tmp_path) == ["file"]


class Tree(ForgetfulTree):
    """A ForgetfulTree that also counts links."""

    def link(self, old: Path, new: Path) -> None:
        self._step()
        assert self._bytes.get(old.stat().st_ino) == old.read_bytes(), "its bytes are not durable yet"
        os.link(old, new)


@pytest.mark.parametrize("how", ["create", "replace"])
def test_a_crash_at_any_call_leaves_all_of_a_file_or_none_of_it(tmp_path: Path, how: str) -> None:
    whole = Tree(tmp_path)
    with on(whole):
        WRITERS[how](tmp_path / "whole", NEW)
    assert whole.calls >= 3
    for end_at in range(whole.calls):
        folder = tmp_path / str(end_at)
        folder.mkdir()
        disk = Tree(folder, end_at)
        with on(disk), pytest.raises(Died):
            WRITERS[how](folder / "file", NEW)
        assert [path.read_bytes() for path in folder.glob("file")] in ([], [NEW])
        assert all(name == "file" or (name.startswith("file.") and name.endswith(".new")) for name in os.listdir(folder))
        assert disk.durable().get("file", NEW) == NEW


def test_a_created_file_is_durable_a_replaced_one_once_its_folder_is(tmp_path: Path) -> None:
    disk = Tree(tmp_path)
    with on(disk):
        create_file(tmp_path / "created", NEW)
        assert disk.durable() == {"created": NEW}
        replace_file(tmp_path / "replaced", NEW)
        assert disk.durable() == {"created": NEW}
        durable_files.sync_folder(tmp_path)
    assert disk.durable() == {"created": NEW, "replaced": NEW}


def test_the_name_of_another_s_file_is_durable_when_ours_is_refused(tmp_path: Path) -> None:
    """It may have been linked a moment ago, and not be synced."""
    (tmp_path / "file").write_bytes(OLD)
    disk = Tree(tmp_path)
    with on(disk), pytest.raises(FileExistsError):
        create_file(tmp_path / "file", NEW)
    assert list(disk.durable()) == ["file"]


# --- pieces --------------------------------------------------------------------------------------


def test_pieces_are_written_in_place_and_the_file_is_made_once(tmp_path: Path) -> None:
    path = tmp_path / "file"
    synced: list[str] = []

    class Watching(RealOs):
        def fdatasync(self, fd: int) -> None:
            synced.append("bytes")
            os.fdatasync(fd)

        def fsync(self, fd: int) -> None:
            synced.append("folder" if stat.S_ISDIR(os.fstat(fd).st_mode) else "file")
            os.fsync(fd)

    with on(Watching()):
        write_pieces(path, [(0, b"aaaa"), (6, b"bb")])
        write_pieces(path, [(2, b"cc")])
    assert path.read_bytes() == b"aacc\0\0bb"
    assert synced == ["bytes", "folder", "bytes"]
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
