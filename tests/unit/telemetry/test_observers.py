"""Several observers: each is told everything, and the one that has a trace names it."""

from __future__ import annotations

from typing import Any

from app.assistant.models import Trace
from app.assistant.observer import Ended
from app.audit.format.record import Receipt
from app.telemetry.observers import Observers
from app.upstream.attempts import Attempts

from ...support.asking import PRINCIPAL, origin, prepared


class Told:
    """An Observer and its only Watch."""

    wants_all = True

    def __init__(self, trace: Trace | None) -> None:
        self.trace, self.told = trace, list[Any]()

    def begin(self, *asked: Any) -> Told:
        self.told.append("begin")
        return self

    def recorded(self, action: str, began: float, receipt: Receipt) -> None:
        self.told.append(action)

    def ended(self, how: Ended) -> None:
        self.told.append(how)

    def left(self) -> None:
        self.told.append("left")


def test_each_is_told_everything_in_order() -> None:
    trace = Trace("1" * 32, "2" * 16)
    both = Told(None), Told(trace)
    watch = Observers(both).begin(prepared(), origin(), PRINCIPAL)
    how = Ended(prepared(), Attempts(), 1.0, None, None)
    watch.recorded("ask.received", 0.0, Receipt(1, "a" * 64))
    watch.ended(how)
    watch.left()
    assert watch.trace is trace
    assert Observers(both).wants_all
    assert both[0].told == both[1].told == ["begin", "ask.received", how, "left"]
