"""What one answer takes of the memory for answers, until it is delivered."""

from __future__ import annotations

from ..errors import Overloaded
from .errors import unusable
from .fair_slots import RETRY_AFTER, FairSlots

FREE_BYTES = 256 * 1024
"""Every answer may take so much without asking. Nearly all are smaller."""
GROWTH_BYTES = 256 * 1024
NO_MEMORY = "Answers that are being delivered take as much memory as they may. Try again later."


class AnswerMemory:
    """Nothing is counted before `of`. `end` gives everything back."""

    __slots__ = ("_room", "_who", "count")

    def __init__(self) -> None:
        self._room: FairSlots | None = None
        self._who = ""
        self.count = 0
        """Bytes."""

    def of(self, room: FairSlots, who: str) -> None:
        """*room* is counted in bytes."""
        self._room, self._who = room, who

    def beside(self) -> AnswerMemory:
        """That of another answer to the same question."""
        other = AnswerMemory()
        other._room, other._who = self._room, self._who
        return other

    def take_over(self, other: AnswerMemory) -> None:
        """All that *other* has taken."""
        self.count += other.count
        other.count = 0

    async def take(self, count: int) -> None:
        """For a plain answer, before most of it is read: wait for room.

        Raises Overloaded, also where too many wait; Interrupted at a stop.
        """
        if self._room is not None:
            self.count += await self._room.take(self._who, count)

    def reach(self, count: int) -> None:
        """For a stream, whose beginning cannot be given back. Raises Overloaded at once, and
        UpstreamError for one that is larger than anybody's share."""
        if count <= max(self.count, FREE_BYTES) or self._room is None:
            return
        if count > self._room.most:
            raise unusable(b"", f"stream of more than {self._room.most} bytes")
        more = min(count + GROWTH_BYTES, self._room.most) - self.count
        if not self._room.take_now(self._who, more):
            raise Overloaded(NO_MEMORY, retry_after=RETRY_AFTER)
        self.count += more

    def shrink(self, count: int) -> None:
        """The answer has *count* bytes, as is known by now."""
        if self._room is not None and count < self.count:
            self._room.give_back(self._who, self.count - count)
            self.count = count

    def end(self) -> None:
        self.shrink(0)
