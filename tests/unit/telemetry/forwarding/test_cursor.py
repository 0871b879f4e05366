"""The cursor survives a crash, belongs to one process at a time, and is never guessed."""

from __future__ import annotations

from pathlib import Path

import pytest

from app.errors import ConfigError
from app.telemetry.forwarding.cursor import Cursor, CursorFile


def test_it_is_what_was_written_last(tmp_path: Path) -> None:
    with CursorFile(tmp_path / "cursor") as file:
        assert file.read() is None
        for number in range(3):
            file.write(Cursor(number * 100, number, "a" * 64))
        assert file.read() == Cursor(200, 2, "a" * 64)
    with CursorFile(tmp_path / "cursor") as again:
        assert again.read() == Cursor(200, 2, "a" * 64)


def test_only_one_process_has_it(tmp_path: Path) -> None:
    with CursorFile(tmp_path / "cursor"), pytest.raises(ConfigError, match="Another process forwards with"):
        CursorFile(tmp_path / "cursor").__enter__()


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"position": "x", "seq": 1, "hash": "a"}', '{"position": 1'])
def test_a_damaged_one_is_refused_and_not_begun_anew(text: str, tmp_path: Path) -> None:
    (tmp_path / "cursor").write_text(text)
    with CursorFile(tmp_path / "cursor") as file, pytest.raises(ConfigError, match="holds no cursor"):
        file.read()
