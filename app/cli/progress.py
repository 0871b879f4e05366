"""A progress bar on stderr for work on many bytes."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager

PROGRESS_FROM_BYTES = 20_000_000


@contextmanager
def progress_bar(*, quiet: bool, verb: str = "verifying") -> Iterator[Callable[[int, int], None]]:
    """Yields a function to call with the bytes read so far and their total.

    The bar appears at the first call with a total of at least PROGRESS_FROM_BYTES, on a terminal
    only, and is gone at the end.
    """
    with ExitStack() as stack:
        show: Callable[[int, int], None] | None = None

        def update(read: int, total: int) -> None:
            nonlocal show
            if quiet or total < PROGRESS_FROM_BYTES or not sys.stderr.isatty():
                return
            if show is None:
                show = _start_bar(stack, total, verb)
            show(read, total)

        yield update


def _start_bar(stack: ExitStack, total: int, verb: str) -> Callable[[int, int], None]:
    from rich.console import Console  # late: only for a long log
    from rich.progress import BarColumn, DownloadColumn, Progress, TimeRemainingColumn  # late: only for a long log

    columns = verb, BarColumn(), DownloadColumn(), TimeRemainingColumn()
    bar = stack.enter_context(Progress(*columns, console=Console(stderr=True), transient=True))
    task = bar.add_task(verb, total=total)
    return lambda read, total: bar.update(task, completed=read, total=total)
