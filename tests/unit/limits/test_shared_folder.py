"""The limiter's folder in memory: nobody else may use it, and the last process removes it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from app.errors import ConfigError
from app.limits.shared_folder import FEW_ENTRIES, MANY_ENTRIES, SharedFolder, entries_from, folder_of


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    folder = folder_of(tmp_path / "audit_log.jsonl")
    yield folder
    if folder.is_symlink():
        folder.unlink()
    elif folder.exists():
        folder.rmdir()


def test_a_folder_that_others_can_enter_is_refused(tmp_path: Path, folder: Path) -> None:
    assert folder.stat().st_mode & 0o777 == 0o700
    folder.chmod(0o755)
    with pytest.raises(ConfigError, match="open to other users"):
        folder_of(tmp_path / "audit_log.jsonl")
    with pytest.raises(PermissionError, match="open to other users"), SharedFolder(folder):
        pass
    folder.rmdir()
    folder.symlink_to(tmp_path)
    with pytest.raises(ConfigError, match="cannot be used"):
        folder_of(tmp_path / "audit_log.jsonl")
    with pytest.raises(NotADirectoryError), SharedFolder(folder):
        pass


def test_the_last_process_to_leave_removes_it(folder: Path) -> None:
    one, other = SharedFolder(folder), SharedFolder(folder)
    for shared in (one, other):
        with shared as path:
            assert path == folder
    one.close()
    assert folder.exists()
    other.close()
    assert not folder.exists()
    with one:
        assert folder.exists(), "it is made again"
    one.close()
    assert not folder.exists()


def test_a_foreign_file_is_kept_with_its_folder(folder: Path) -> None:
    shared, foreign = SharedFolder(folder), folder / "somebody's"
    with shared:
        foreign.touch()
    shared.close()
    assert list(folder.iterdir()) == [foreign]
    foreign.unlink()


@pytest.mark.parametrize(
    "count", [0, 1, FEW_ENTRIES, FEW_ENTRIES + 1, FEW_ENTRIES + MANY_ENTRIES, FEW_ENTRIES + 2 * MANY_ENTRIES]
)
@pytest.mark.parametrize("torn", [b"", b"xx"])
def test_all_whole_entries_are_read_however_many_there_are(tmp_path: Path, count: int, torn: bytes) -> None:
    file, entries = tmp_path / "file", [b"%09d" % number for number in range(count)]
    file.write_bytes(b"before" + b"".join(entries) + torn)
    with file.open("rb") as opened:
        pieces = list(entries_from(opened.fileno(), 6, 9))
    assert (b"".join(pieces), all(pieces)) == (b"".join(entries), True)
