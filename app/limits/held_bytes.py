"""Memory that the bodies of requests take, in all and for each holder."""

from __future__ import annotations

from ..errors import Unavailable


class TooMuchInFlight(Unavailable):
    code = "too_much_in_flight"
    detail = "The bodies of requests that are being answered take as much memory as they may. Try again later."


class HeldBytes:
    """Of one worker. A holder is a principal; all who are not proven are one holder, None."""

    def __init__(self, most: int, most_each: int) -> None:
        self._most, self._most_each = most, most_each
        self._held: dict[str | None, int] = {}
        self.total = 0

    def take(self, holder: str | None, count: int) -> None:
        """Raises TooMuchInFlight, with nothing taken."""
        held = self._held.get(holder, 0) + count
        if held > self._most_each or self.total + count > self._most:
            raise TooMuchInFlight()
        self._held[holder] = held
        self.total += count

    def give_back(self, holder: str | None, count: int) -> None:
        self.total -= count
        if held := self._held.pop(holder, 0) - count:
            self._held[holder] = held


class Hold:
    """What one request holds."""

    def __init__(self, held: HeldBytes, holder: str | None) -> None:
        self._held, self._holder, self._count = held, holder, 0

    def add(self, count: int) -> None:
        """Raises TooMuchInFlight."""
        self._held.take(self._holder, count)
        self._count += count

    def end(self) -> None:
        self._held.give_back(self._holder, self._count)
        self._count = 0
