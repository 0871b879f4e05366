"""Another file at the path of the database has another identity."""

from __future__ import annotations

import shutil
from pathlib import Path

from app.security.clients.replaced_database import DatabasePlace


def test_a_file_is_the_same_until_it_is_replaced_or_removed(tmp_path: Path) -> None:
    path = tmp_path / "clients.sqlite3"
    path.write_bytes(b"1")
    place = DatabasePlace(path)
    path.write_bytes(b"2")
    assert place.is_same()
    shutil.copy(path, tmp_path / "copy")
    path.rename(tmp_path / "away")
    assert (place.is_same(), place.identity()) == (False, 0)
    (tmp_path / "copy").rename(path)
    assert not place.is_same()
    place.accept(place.identity())
    assert place.is_same()
    (tmp_path / "away").rename(path)
    assert not place.is_same()
