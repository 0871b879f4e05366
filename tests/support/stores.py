"""Stores that a test opens: they are closed at its end, because an open store holds three descriptors."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from app.audit.storage.jsonl import JsonlStore

_opened: list[JsonlStore] = []


def open_store(path: Path, verify_sound: Callable[[], None] = lambda: None) -> JsonlStore:
    """As `JsonlStore`. A test that opens many, one after the other, closes them itself."""
    _opened.append(JsonlStore(path, verify_sound))
    return _opened[-1]


def close_stores() -> None:
    """Called after every test."""
    while _opened:
        _opened.pop().close()
