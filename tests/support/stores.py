"""Stores that a test opens are closed at its end at the latest: an open store holds three descriptors."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

from app.audit.log import AuditLog
from app.audit.storage.jsonl import JsonlStore
from app.audit.storage.store import AuditStore

_opened: list[AuditStore] = []
S = TypeVar("S", bound=AuditStore)


def open_store(path: Path, verify_sound: Callable[[], None] = lambda: None) -> JsonlStore:
    """As `JsonlStore`. A test that opens many, one after the other, closes them itself."""
    return closed_at_end(JsonlStore(path, verify_sound))


def closed_at_end(store: S) -> S:
    _opened.append(store)
    return store


@contextmanager
def opened_log(path: Path) -> Iterator[AuditLog]:
    """The log at *path*, for the length of the block."""
    log = AuditLog(JsonlStore(path))
    try:
        yield log
    finally:
        log.close()


def close_stores() -> None:
    """Called after every test."""
    while _opened:
        _opened.pop().close()
