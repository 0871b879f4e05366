"""One byte that a child process sets when it is ready, and that its parent sees."""

from __future__ import annotations

import mmap


class ReadyFlag:
    """Made by the parent before it forks the child."""

    def __init__(self) -> None:
        self._memory = mmap.mmap(-1, 1)  # anonymous, shared with forked children, zeroed

    @property
    def is_set(self) -> bool:
        return bool(self._memory[0])

    def set(self) -> None:
        self._memory[0] = 1

    def clear(self) -> None:
        """Before the child is started again."""
        self._memory[0] = 0
