"""A progress bar and a clean Ctrl-C for long verifications."""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

PROGRESS_FROM_BYTES = 20_000_000


@contextmanager
def _progress(size: int, quiet: bool) -> Iterator[Callable[[int], None]]:
    """Tell it how many bytes were read since."""
    if quiet or not sys.stderr.isatty() or size < PROGRESS_FROM_BYTES:
        yield lambda read: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TimeRemainingColumn

    columns = "verifying", BarColumn(), DownloadColumn(), TimeRemainingColumn()
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("verify", total=size)
        yield lambda read: progress.advance(task, read)


@contextmanager
def _interruptible() -> Iterator[Callable[[], bool]]:
    """Whether Ctrl-C was pressed, instead of an exception in the middle of something."""
    pressed: list[int] = []

    def press(number: int, frame: FrameType | None) -> None:
        pressed.append(number)

    before = signal.signal(signal.SIGINT, press)
    try:
        yield lambda: bool(pressed)
    finally:
        signal.signal(signal.SIGINT, before)
