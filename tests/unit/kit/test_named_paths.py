"""Paths of settings: writable, and no two the same."""

from __future__ import annotations

from pathlib import Path

import pytest

from app.kit.named_paths import verify_differ, verify_writable


def test_a_file_that_can_be_made_is_writable(tmp_path: Path) -> None:
    verify_writable("LOG", tmp_path / "new" / "log")
    with pytest.raises(ValueError, match=r"LOG .* is a folder: name a file in it"):
        verify_writable("LOG", tmp_path)
    (tmp_path / "file").touch()
    with pytest.raises(ValueError, match=r"LOG .* cannot be written by this user"):
        verify_writable("LOG", tmp_path / "file" / "log")


def test_one_file_has_one_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    verify_differ({"A": Path("a"), "B": Path("b"), "C": None, "D": None})
    with pytest.raises(ValueError, match="B names the same file as A: give each a file of its own"):
        verify_differ({"A": Path("a"), "B": tmp_path / "a"})
