"""Writes lines in a thread of its own, so that an output that hangs holds up nobody.

`put` never blocks. A bounded amount of text waits for the thread. What does not fit, and what the
output refuses, is lost and counted; the count is written once the output takes lines again.
"""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable
from typing import Protocol

from .descriptor import NotWritten
from .process import reset_after_fork

MAX_WAITING_CHARS = 1 << 18
MAX_LINE_CHARS = 1 << 16
GATHER_SECONDS = 0.02
"""Between two writes, so that a busy process wakes its thread seldom."""
FLUSH_SECONDS = 1.0
"""How long the end of a process waits for an output that may hang."""
MAX_HUNG_THREADS = 8
"""Threads that hang in outputs which were opened again since."""
HANGS = "it takes no more lines"


class Output(Protocol):
    def write(self, lines: list[str]) -> None:
        """Write each of *lines* as it is. May block. Raises NotWritten."""

    def close(self) -> None: ...


class LineWriter:
    """Any thread may call it. The output is opened by the writing thread, at the first line."""

    def __init__(
        self,
        open_output: Callable[[], Output],
        lost_line: Callable[[int], str],
        on_problem: Callable[[str], None] = lambda why: None,
    ) -> None:
        """*lost_line* says in one line how many were lost.

        *on_problem* is called with the reason when lines begin to be lost, once until a line is
        written again.
        """
        self._open_output, self._lost_line, self._on_problem = open_output, lost_line, on_problem
        self._on_lost: Callable[[int], None] = lambda count: None
        self.reset_in_child()
        reset_after_fork(self)

    def reset_in_child(self) -> None:
        """Threads do not survive a fork. What waits is written by the parent process."""
        self._lock = threading.RLock()  # reentrant: a signal handler may log
        self._drain: _Drain | None = None
        self._hung: list[_Drain] = []
        self._unreported = 0  # lost, and not yet counted in a line
        self._is_failing = False

    def count_losses(self, on_lost: Callable[[int], None]) -> None:
        """Call *on_lost* with the number of lines whenever some are lost. It must not block."""
        self._on_lost = on_lost

    def put(self, line: str) -> None:
        """Hand in one line with its line end, or several that belong together. Never blocks."""
        line = line if len(line) <= MAX_LINE_CHARS else line[: MAX_LINE_CHARS - 2] + "…\n"
        with self._lock:
            drain = self._drain or self._start()
            if drain is None or not drain.has_room(line):
                self._lose(1, HANGS if drain else "no thread can be started")
                return
            self._report_lost(drain)
            drain.put(line)

    def flush(self, seconds: float = FLUSH_SECONDS) -> bool:
        """Wait until all that was handed in is written. False: not within *seconds*."""
        with self._lock:
            drain = self._drain
            if drain is None:
                return True
            self._report_lost(drain)  # the thread does so only where nothing waits, and the mark does
            mark = threading.Event()
            drain.queue.put(mark)
        return mark.wait(seconds)

    def reopen(self) -> None:
        """What was handed in goes to the old output, what follows to a new one.

        So it helps also where the old one hangs.
        """
        with self._lock:
            self._hung = [drain for drain in self._hung if drain.thread.is_alive()]
            if self._drain is not None and len(self._hung) < MAX_HUNG_THREADS:
                self._drain.queue.put(None)
                self._hung.append(self._drain)
                self._drain = None

    def close(self, seconds: float = FLUSH_SECONDS) -> bool:
        """Flush, then close the output. False: it hangs, and what waits is lost."""
        is_flushed = self.flush(seconds)
        with self._lock:
            drain, self._drain = self._drain, None
        if drain is not None:
            drain.queue.put(None)
            if is_flushed:
                drain.thread.join(seconds)
        return is_flushed

    # --- under the lock --------------------------------------------------------------------------

    def _start(self) -> _Drain | None:
        try:
            self._drain = _Drain(self._open_output(), self._write)
        except RuntimeError:  # the system has no thread, or the interpreter is ending
            return None
        return self._drain

    def _report_lost(self, drain: _Drain) -> None:
        if self._unreported:
            drain.queue.put(self._unreported)
            self._unreported = 0

    def _lose(self, count: int, why: str) -> None:
        self._unreported += count
        self._on_lost(count)
        if not self._is_failing:
            self._is_failing = True
            self._on_problem(why)

    # --- on the writing thread -------------------------------------------------------------------

    def _write(self, drain: _Drain, items: list[str | int]) -> None:
        failure: NotWritten | None = None
        try:
            drain.output.write([item if isinstance(item, str) else self._lost_line(item) for item in items])
        except NotWritten as error:
            failure = error
        with self._lock:
            drain.waiting -= sum(len(item) for item in items if isinstance(item, str))
            if failure is not None:
                unwritten = items[len(items) - failure.lost :]
                self._unreported += sum(item for item in unwritten if isinstance(item, int))
                self._lose(sum(isinstance(item, str) for item in unwritten), failure.why)
                return
            self._is_failing = False
            if drain is self._drain and drain.queue.empty():
                self._report_lost(drain)


class _Drain:
    """One thread with its queue and its output. A daemon: it must not keep a process alive."""

    def __init__(self, output: Output, write_items: Callable[[_Drain, list[str | int]], None]) -> None:
        self.queue: queue.SimpleQueue[str | int | threading.Event | None] = queue.SimpleQueue()
        """Lines, how many were lost between two, events to set, and None to close the output."""
        self.waiting = 0
        """Characters that are handed in and not yet written."""
        self.output, self._write_items = output, write_items
        self.thread = threading.Thread(target=self._run, name="lines", daemon=True)
        self.thread.start()

    def has_room(self, line: str) -> bool:
        return self.waiting + len(line) <= MAX_WAITING_CHARS

    def put(self, line: str) -> None:
        self.waiting += len(line)
        self.queue.put(line)

    def _run(self) -> None:
        written_at = 0.0
        while True:
            items = [self.queue.get()]
            time.sleep(max(0.0, written_at + GATHER_SECONDS - time.monotonic()))
            while not self.queue.empty():
                items.append(self.queue.get())
            if lines := [item for item in items if isinstance(item, str | int)]:
                self._write_items(self, lines)
                written_at = time.monotonic()
            for item in items:
                if isinstance(item, threading.Event):
                    item.set()
            if None in items:
                self.output.close()
                return
