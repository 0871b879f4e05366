"""One question in the audit log: `ask.received`, then either `ask.answered` or `ask.failed`."""

from __future__ import annotations

import asyncio
import hashlib
import logging
import time
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from functools import partial
from types import TracebackType
from typing import Any, Self, TypeVar

from ..audit.format.record import Receipt
from ..errors import AppError, Interrupted, LongTextUnavailable, UpstreamError, UpstreamTimeout
from ..limits.budgets.budgets import Budgets
from ..security.manager import SecurityManager
from ..security.models import Principal
from ..upstream.attempts import Attempts
from ..upstream.bounds import LARGE_BYTES
from ..upstream.call import PreparedCall
from ..upstream.completion import Completion
from ..upstream.errors import MALFORMED
from ..upstream.protocol.stream_reader import StreamReader
from ..upstream.resilience.spending import UNLIMITED, Spending
from .continued import owner_of, previous_of
from .known_responses import Responses
from .models import Origin, Served
from .question_details import asserted_user, details_of
from .spending import spending_of

T = TypeVar("T")
RECEIVED, ATTEMPTED = "ask.received", "ask.attempted"
LOG = logging.getLogger("app.assistant")


class Exchange:
    """Entering records `ask.received`; leaving with an error records `ask.failed`.

    `answered` records the end of a question that went well. Each record is durable when its call
    returns. If it cannot be written, AuditUnavailable is raised, in place of any other error. So
    without `ask.received` the block is not entered, and nothing is sent.
    """

    received: Receipt
    """Of `ask.received`."""

    def __init__(
        self,
        security: SecurityManager,
        principal: Principal,
        call: PreparedCall,
        origin: Origin,
        *,
        reader: StreamReader | None = None,
        responses: Responses | None = None,
        budgets: Budgets | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """*reader*: of a streamed answer. *budgets*: must be there for a call with a claim."""
        self._responses = responses if call.may_continue else None
        self.call, self.origin = call, origin
        """*call*: the one that is recorded; after `begin_answer` the one that was answered."""
        self._tells_server = bool(call.others)
        self._security, self._principal, self._reader, self._clock = security, principal, reader, clock
        self.attempts = Attempts(origin.trace.headers if origin.trace else None)
        """Follows the calls to the model's server."""
        self._spending = spending_of(call, budgets, principal, origin, self.attempts)
        self.spending: Spending = self._spending or UNLIMITED
        """What budgets say to further attempts."""
        self._started = clock()
        self._is_stopped = False  # cancelled while a record was being written
        self._has_end = False
        self.is_noted = True
        """Whether the reader has noted all that was delivered."""
        self._sha256: Any = hashlib.sha256()
        self._bytes = 0

    async def __aenter__(self) -> Self:
        """Raises AuditUnavailable, or Interrupted if the service was stopped meanwhile.

        Raises InvalidParameter for a response that is not this caller's, as QuestionSpending.begin.
        """
        previous = await previous_of(self.call, self._principal, self.origin, self._responses)
        reserved = await self._spending.begin() if self._spending else ()
        details = details_of(self.call, self._principal, self.origin, previous, reserved)
        self.received = await self._record(RECEIVED, details)
        self._tell_received()
        if self._is_stopped:
            await self._record_and_raise(Interrupted(), None)
        self.origin.tokens.attempts = self.attempts
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """Raises the error that the caller is to see, after it is recorded."""
        if error is None or self._has_end:
            return
        if isinstance(error, AppError):
            await self._record_failure(error)  # then *error* itself goes on
        elif isinstance(error, TimeoutError):
            await self._record_and_raise(UpstreamTimeout(), None)
        elif isinstance(error, asyncio.CancelledError):  # by a stop of the service only
            await self._record_and_raise(Interrupted(), None)
        elif isinstance(error, Exception):
            LOG.error("request %s failed unexpectedly", self.origin.request_id, exc_info=error)
            await self._record_and_raise(AppError(), error)

    async def attempted(self, call: PreparedCall, held: Mapping[str, Any]) -> None:
        """Record `ask.attempted`, before a body is sent that is not the recorded one.

        *held*: what a budget holds for it. Raises AuditUnavailable.
        """
        details = {"received": self.received.seq, "model": call.model, "server": call.upstream.name, **call.digests, **held}
        await self._record(ATTEMPTED, {**details, "credential": self._principal.credential})
        if self._is_stopped:
            raise asyncio.CancelledError  # by a deadline, or by a caller who left

    def begin_answer(self, call: PreparedCall, reader: StreamReader | None = None) -> Served:
        """*call* is the one that was answered. *reader*: of a streamed answer."""
        other = call.model if call.model != self.call.model else None
        self.call, self._reader = call, reader
        return Served(self.attempts.count, other)

    def mark_delivered(self, data: bytes) -> None:
        """The caller got *data*. The record of the end holds the size and SHA-256 of all of it."""
        if data is self.attempts.now.whole:  # as the server sent it: it is hashed already
            self._sha256 = self.attempts.digest()
        else:
            self._sha256.update(data)
        self._bytes += len(data)

    async def answered(self, completion: Completion, unwritten: bytes = b"") -> Receipt:
        """Record `ask.answered`. The answer, or the end of a stream, may leave after that only.

        *unwritten*: what the caller gets then.
        """
        self._has_end = True
        written, usage = (self._sha256.copy(), self._bytes), completion.usage
        self.origin.tokens.answered(usage, self.call)
        self.mark_delivered(unwritten)
        details = {
            "received": self.received.seq,
            "answer": completion.answer,
            "model": completion.model,
            "usage": usage.members() if usage else None,
            **self._effort(),
            **({"finish_reason": completion.finish} if completion.finish is not None else {}),
            **({"delivered": self._digest()} if self._bytes or self._reader else {}),
            "upstream_response_sha256": self.attempts.response_sha256,
            **({"other": completion.other} if completion.other else {}),
            **({"spent": self._spending.answered(usage)} if self._spending and self._spending.has_reserved else {}),
            **asserted_user(self.origin),
            "credential": self._principal.credential,
        }
        try:
            receipt = await self._record("ask.answered", details)
        except LongTextUnavailable as error:  # the log itself can be written
            self._sha256, self._bytes = written
            await self._record_failure(error)
            raise
        if self._spending and (settling := self._spending.settle()):
            await self._finished(settling)
        if self._responses is not None and completion.response_id:
            owner = owner_of(self.call, self._principal, self.origin)
            await self._finished(self._responses.remember(owner, completion.response_id, receipt))
        tokens = (usage.input_tokens, usage.output_tokens) if usage else None
        self._security.log_answered(self._principal.user_id, self.origin.request_id, completion.model, tokens)
        self._tell_end(completion, None)
        return receipt

    def _tell_received(self) -> None:
        """An ObservedExchange does, here and at the end."""

    def _tell_end(self, completion: Completion | None, code: str | None) -> None: ...

    async def _record_and_raise(self, failure: AppError, cause: Exception | None) -> None:
        await self._record_failure(failure)
        raise failure from cause

    async def _record_failure(self, error: AppError) -> None:
        """Record `ask.failed`, with the part of the answer that reached the caller."""
        self._has_end = True
        details = {"received": self.received.seq, "code": error.code, **self._effort(error), "delivered": None}
        if self._bytes and isinstance(error, LongTextUnavailable):  # the reader holds the rest of the answer, too
            details["delivered"] = self._digest()
        elif self._bytes and self._reader:
            answer, other = await self.read(partial(self._delivered, self._reader))
            details["delivered"] = {"answer": answer, **self._digest(), **({"other": other} if other else {})}
        details["upstream_response_sha256"] = self.attempts.response_sha256
        if self._spending and self._spending.has_reserved:
            details["spent"] = self._spending.failed()
        details |= {**asserted_user(self.origin), "credential": self._principal.credential}
        try:
            await self._record("ask.failed", details)
        except LongTextUnavailable:  # without the text then
            await self._record("ask.failed", {**details, "delivered": self._digest() if self._bytes else None})
        if self._spending and (settling := self._spending.settle()):
            await self._finished(settling)
        self.origin.terminal_record.is_written = True
        self._tell_end(None, error.code)

    def _delivered(self, reader: StreamReader) -> tuple[Any, Any]:
        if not self.is_noted:  # it was cancelled between the two
            with suppress(*MALFORMED):
                reader.mark_delivered()
        return reader.delivered(), reader.other()

    async def read(self, do: Callable[[], T]) -> T:
        """What *do* returns, which asks the reader. A cancellation waits for it."""
        if self._reader is None or not (self._reader.is_heavy or self.attempts.now.received > LARGE_BYTES):
            return do()
        return await self._finished(self.call.upstream.turns.work(do))

    def _digest(self) -> dict[str, Any]:
        return {"bytes": self._bytes, "sha256": self._sha256.hexdigest()}

    def _effort(self, error: AppError | None = None) -> dict[str, Any]:
        if error is not None:
            self.attempts.fail(error.code)
        are_told = self._tells_server or isinstance(error, UpstreamError)
        return {"elapsed_ms": round(1000 * (self._clock() - self._started)), **self.attempts.members(are_told=are_told)}

    async def _record(self, action: str, details: dict[str, Any]) -> Receipt:
        """Durable on return. A cancellation waits until the outcome of the write is known."""
        user_id, origin = self._principal.user_id, self.origin
        is_long, may_be_written = len(self.call.body) > LARGE_BYTES or bool(origin.memory.count), action != RECEIVED
        try:
            work = self._security.log_action(user_id, action, details, request_id=origin.request_id, is_long=is_long)
            may_be_written = True
            return await self._finished(work)
        except Exception as error:  # whatever failed, what is reserved must have its end; it is raised again
            is_lost = may_be_written and not isinstance(error, LongTextUnavailable)
            if self._spending and (action == RECEIVED or (is_lost and action != ATTEMPTED)):  # no record ends the reservation
                await self._finished(self._spending.give_up(is_recorded=is_lost))
            raise

    async def _finished(self, work: Awaitable[T]) -> T:
        """Its outcome. A cancellation waits until that is known."""
        outcome = asyncio.ensure_future(work)  # a record is a future already, and needs no task
        try:
            while True:
                try:
                    return await asyncio.shield(outcome)
                except asyncio.CancelledError:
                    self._is_stopped = True
                    if outcome.done():
                        return outcome.result()
        finally:
            del outcome, work  # else an error would hold this frame, and the frame the error
