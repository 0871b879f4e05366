"""Takes what native code writes to a descriptor, so that a stuck reader cannot stop it."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable

from .descriptor import DescriptorOutput
from .line_writer import FLUSH_SECONDS, LineWriter


class Relay:
    """From now on *fd* is a pipe that a thread empties into what *fd* was."""

    def __init__(self, fd: int, form: Callable[[str], str] = str) -> None:
        """*form*: from a line to what is written of it."""
        self._fd, self._real, self._form = fd, os.dup(fd), form
        self._lines = LineWriter(
            lambda: DescriptorOutput(self._real),
            lambda count: form(f"{count} line(s) were lost here: nobody read them.\n"),
        )
        reader, writer = os.pipe()
        os.dup2(writer, fd)
        os.close(writer)
        self._thread = threading.Thread(target=self._copy, args=(reader,), name="relay", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Put *fd* back. Waits a little for what is on its way."""
        os.dup2(self._real, self._fd)
        self._thread.join(FLUSH_SECONDS)
        self._lines.flush()

    def _copy(self, reader: int) -> None:
        with os.fdopen(reader, encoding="utf-8", errors="backslashreplace") as lines:
            for line in lines:
                self._lines.put(self._form(line))
