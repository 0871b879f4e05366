"""The file of the index: private, of one format, and read only as a whole."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from app.audit.index.schema import index_path, open_for_writing, reading, remove
from app.errors import Unavailable


def test_the_index_stands_beside_the_log_and_only_its_owner_reads_it(tmp_path: Path) -> None:
    path = index_path(tmp_path / "audit_log.jsonl")
    open_for_writing(path).close()
    assert (path.name, path.stat().st_mode & 0o777) == ("audit_log.index.sqlite3", 0o600)
    remove(path)
    assert list(tmp_path.iterdir()) == []


def test_an_index_of_another_format_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "i.sqlite3"
    with closing(open_for_writing(path)) as connection:
        connection.execute("UPDATE state SET format = 0")
    with pytest.raises(Unavailable), reading(path):
        pass


def test_a_reader_cannot_write(tmp_path: Path) -> None:
    path = tmp_path / "i.sqlite3"
    open_for_writing(path).close()
    with pytest.raises(Unavailable) as refused, reading(path) as connection:
        connection.execute("DELETE FROM state")
    assert isinstance(refused.value.__cause__, sqlite3.OperationalError)
