"""Exchanges that an Observer is told of. Used only where there is one."""

from __future__ import annotations

import time
from dataclasses import replace
from types import TracebackType
from typing import Any, Self

from ..audit.format.record import Receipt
from ..errors import AppError
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

    async def __aenter__(self) -> Self:
        await super().__aenter__()
        self._watch.recorded(RECEIVED, 0.0, self.received)
        return self

    def begin_answer(self, call: PreparedCall, reader: StreamReader | None = None) -> Served:
        self._first_byte = self._clock() - self._started
        return super().begin_answer(call, reader)

    async def answered(self, completion: Completion, unwritten: bytes = b"") -> Receipt:
        receipt = await super().answered(completion, unwritten)
        self._watch.ended(self._end(completion, None))
        return receipt

    async def _record_failure(self, error: AppError) -> None:
        await super()._record_failure(error)
        self._watch.ended(self._end(None, error.code))

    def _end(self, completion: Completion | None, code: str | None) -> Ended:
        return Ended(self.call, self.attempts, self._clock() - self._started, self._first_byte, completion, code)


class FullyObservedExchange(ObservedExchange):
    """Tells of each record with its time, and always that it is over."""

    async def __aenter__(self) -> Self:
        try:
            return await Exchange.__aenter__(self)
        except BaseException:
            self._watch.left()
            raise

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        try:
            await super().__aexit__(kind, error, trace)
        finally:
            self._watch.left()

    async def _record(self, action: str, details: dict[str, Any]) -> Receipt:
        began = time.monotonic()
        receipt = await super()._record(action, details)
        self._watch.recorded(action, began, receipt)
        return receipt
