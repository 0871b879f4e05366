"""An event loop whose clock jumps to the next thing that is due: hours of a simulation take a moment."""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


class _Selector(selectors.SelectSelector):
    """Does not wait: the time passes at once."""

    now = 0.0

    def select(self, timeout: float | None = None) -> Any:
        self.now += timeout or 0.0
        return super().select(0)


class VirtualLoop(asyncio.SelectorEventLoop):
    def __init__(self) -> None:
        self._virtual = _Selector()
        super().__init__(self._virtual)

    def time(self) -> float:
        return self._virtual.now


def simulate(work: Coroutine[Any, Any, T]) -> T:
    """The result of *work*, which may sleep for as long as it likes."""
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        return runner.run(work)
