"""Exchanges that an Observer is told of. Used only where there is one."""

from __future__ import annotations

import time
from dataclasses import replace
from types import TracebackType
from typing import Any, Self

from ..audit.format.record import Receipt
from ..security.manager import SecurityManager
from ..security.models import Principal
from ..upstream.call import PreparedCall
from ..upstream.completion import Completion
from ..upstream.protocol.stream_reader import StreamReader
from .exchange import RECEIVED, Exchange
from .models import Origin, Served
from .observer import Ended, Observer


class ObservedExchange(Exchange):
    """Tells of the first record and of the end: each layer more costs every question."""

    _first_byte: float | None = None

    def __init__(
        self,
        security: SecurityManager,
        principal: Principal,
        call: PreparedCall,
        origin: Origin,
        *,
        observer: Observer,
        **kept: Any,
    ) -> None:
        self._watch = watch = observer.begin(call, origin, principal)
        origin = replace(origin, trace=watch.trace) if watch.trace else origin
        super().__init__(security, principal, call, origin, **kept)

    def begin_answer(self, call: PreparedCall, reader: StreamReader | None = None) -> Served:
        self._first_byte = self._clock() - self._started
        return super().begin_answer(call, reader)

    def _tell_received(self) -> None:
        self._watch.recorded(RECEIVED, 0.0, self.received)

    def _tell_end(self, completion: Completion | None, code: str | None) -> None:
        seconds = self._clock() - self._started
        self._watch.ended(Ended(self.call, self.attempts, seconds, self._first_byte, completion, code))


class FullyObservedExchange(ObservedExchange):
    """Tells of each record with its time, and always that it is over."""

    async def __aenter__(self) -> Self:
        try:
            return await super().__aenter__()
        except BaseException:
            self._watch.left()
            raise

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        try:
            await super().__aexit__(kind, error, trace)
        finally:
            self._watch.left()

    def _tell_received(self) -> None:
        """`_record` does, as for each record."""

    async def _record(self, action: str, details: dict[str, Any]) -> Receipt:
        began = time.monotonic()
        receipt = await super()._record(action, details)
        self._watch.recorded(action, began, receipt)
        return receipt
