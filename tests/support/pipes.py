"""A named pipe in the place of a file: opening it for reading waits until somebody writes."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

SECONDS = 20


@contextmanager
def pipe_without_writer(path: Path) -> Iterator[None]:
    """Fails if somebody waits for a writer in the block, instead of hanging with them."""
    path.unlink(missing_ok=True)
    os.mkfifo(path, 0o600)
    has_hung = threading.Event()

    def let_go() -> None:
        has_hung.set()
        os.close(os.open(path, os.O_RDWR))

    timer = threading.Timer(SECONDS, let_go)
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
        timer.join()
    assert not has_hung.is_set(), f"somebody waited for a writer of {path.name}"
