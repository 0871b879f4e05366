"""Notes of what a process has handed out of its advances: in memory that outlives the process.

Each question has a slot from before it is handed out until the store knows what it spent. A loss
of power takes them: then the budgets are computed from the log, which had not heard of a question
whose slot it took.
"""

from __future__ import annotations

import mmap
import os
from contextlib import suppress
from pathlib import Path

import orjson

from .reservations import Pot
from .store import OpenRow

NAME = "limits-handed-out"
"""As all files of the folder are named: the last process that leaves it removes them."""
SLOTS, SLOT_BYTES = 1024, 512
_WORDS = SLOT_BYTES // 8
_HEAD_BYTES = 16
"""Of a slot: two words. The first says what it is, the second how long the text is."""
FREE, OPEN = 0, 1
"""What a slot is. A larger number: settled, and told of in the exchange with this number."""


class NotesLost(Exception):
    """Says why, for an operator."""


class Notes:
    """Of one process. Opened after the fork."""

    def __init__(self, folder: Path) -> None:
        """*folder*: in memory, and the same for all processes that share the store."""
        self._folder = folder
        self._map: mmap.mmap | None = None
        self._words = memoryview(b"")
        self._free: list[int] = []
        self._own = 0

    def open(self, owner: int) -> None:
        """Empty, and for *owner* from now on. Raises OSError."""
        self.close()
        self._own = owner
        flags = os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW
        fd = os.open(self._path(owner), flags, 0o600)
        try:
            os.posix_fallocate(fd, 0, SLOTS * SLOT_BYTES)  # memory that is not there would end the process later
            self._map = mmap.mmap(fd, SLOTS * SLOT_BYTES)
        finally:
            os.close(fd)
        self._words, self._free = memoryview(self._map).cast("Q"), [*range(SLOTS)]

    def write(self, key: str, after: int, amounts: list[tuple[str, str, int]]) -> int | None:
        """The slot of a reservation. None: there is no room, so it must not be handed out."""
        text = orjson.dumps((key, after, amounts))
        if self._map is None or not self._free or len(text) > SLOT_BYTES - _HEAD_BYTES:
            return None
        slot = self._free.pop()
        start = slot * SLOT_BYTES + _HEAD_BYTES
        self._map[start : start + len(text)] = text
        self._words[slot * _WORDS + 1] = len(text)
        self._words[slot * _WORDS] = OPEN  # last: until then there is no note
        return slot

    def settle(self, slot: int, exchange: int) -> None:
        """The *exchange* with this number tells the store of it."""
        self._words[slot * _WORDS] = exchange

    def free(self, slot: int) -> None:
        """The store was told."""
        self._words[slot * _WORDS] = FREE
        self._free.append(slot)

    def of(self, owner: int, told: int) -> list[OpenRow]:
        """What a dead *owner* had handed out and, as of exchange *told*, not settled.

        Raises NotesLost.
        """
        try:
            data = self._path(owner).read_bytes()
            slots = [data[start : start + SLOT_BYTES] for start in range(0, len(data), SLOT_BYTES)]
            return [_row(slot, owner) for slot in slots if (kind := _word(slot, 0)) == OPEN or kind > told]
        except (OSError, ValueError, TypeError) as error:
            raise NotesLost(f"what a process handed out before it died cannot be read: {error}") from error

    def remove(self, owner: int) -> None:
        with suppress(OSError):
            self._path(owner).unlink()

    def close(self, *, are_told: bool = True) -> None:
        """The file stays where the store was not told of all that stands in it."""
        if self._map is None:
            return
        self._words.release()
        self._map.close()
        self._map = None
        if are_told:
            self.remove(self._own)

    def _path(self, owner: int) -> Path:
        return self._folder / f"{NAME}.{owner}"


def _word(slot: bytes, place: int) -> int:
    return int.from_bytes(slot[8 * place : 8 * place + 8], "little")


def _row(slot: bytes, owner: int) -> OpenRow:
    key, after, amounts = orjson.loads(slot[_HEAD_BYTES : _HEAD_BYTES + _word(slot, 1)])
    return OpenRow(key, owner, after, {Pot(budget, period): amount for budget, period, amount in amounts})
