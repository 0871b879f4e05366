"""How much the record of one stream takes, however the events are made that it is made from."""

from __future__ import annotations

from ...errors import UpstreamError
from ..bounds import LIGHT_PIECES, MAX_KEPT


class Room:
    """Of one stream. `verify` comes once all that was delivered is noted: its record has it."""

    def __init__(self) -> None:
        self._taken = 0

    def take(self, count: int = 1) -> None:
        """*count* more texts, members or parts are kept."""
        self._taken += count

    def verify(self) -> None:
        """Raises UpstreamError if too many are kept."""
        if self._taken > MAX_KEPT:
            raise UpstreamError

    @property
    def is_heavy(self) -> bool:
        """Whether making the record takes longer than others should wait."""
        return self._taken > LIGHT_PIECES
