"""Machine words in memory that forked processes share. Make them before the fork."""

from __future__ import annotations

import mmap

WORD_BYTES = 8


class SharedWords:
    """Anonymous memory, zeroed. There is no lock: give each word one writer."""

    def __init__(self, words: int, text_bytes: int = 0) -> None:
        memory = memoryview(mmap.mmap(-1, words * WORD_BYTES + text_bytes))
        self.words = memory[: words * WORD_BYTES].cast("Q")  # no reader sees half a word
        self._text = memory[words * WORD_BYTES :]

    @property
    def text(self) -> str:
        """One sentence. A reader may see half of a new one: publish it by a word."""
        return bytes(self._text).partition(b"\0")[0].decode("utf-8", "replace")

    @text.setter
    def text(self, text: str) -> None:
        data = text.encode()[: len(self._text) - 1]
        self._text[:] = data + bytes(len(self._text) - len(data))
