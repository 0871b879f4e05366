"""What the storage of the log tells of its speed. Nothing is measured while nobody asks."""

from __future__ import annotations

from typing import Protocol


class StorageMeter(Protocol):
    """*seconds* are of the monotonic clock."""

    def batch(self, records: int, seconds: float) -> None:
        """The writer's thread wrote a batch of so many records and made it durable."""

    def sync(self, seconds: float) -> None:
        """The writer's thread waited so long for the disk."""

    def durable(self, records: int, seconds: float) -> None:
        """On the event loop: so many records are durable, so long after they were handed in."""
