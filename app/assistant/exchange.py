"""One question on the road: its three records, and the clock between them."""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections.abc import Callable
from typing import Any

from ..audit.format.record import Receipt
from ..errors import AppError, LongTextUnavailable
from ..security.manager import SecurityManager
from ..security.models import Principal
from ..upstream.call import PreparedCall
from ..upstream.completion import Completion
from ..upstream.protocol.endpoint import StreamReader
from .models import Origin


class Exchange:
    """`start` before anything is sent, then `answered` or `failed`. Each is durable on return, or raises AuditUnavailable."""

    def __init__(
        self,
        security: SecurityManager,
        principal: Principal,
        call: PreparedCall,
        origin: Origin,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.call, self.origin = call, origin
        self._security, self._principal, self._clock = security, principal, clock
        self._started = clock()
        self._received: Receipt | None = None
        self.is_stopped = False
        """Whether it was cancelled while a record was on its way."""
        self._digest = hashlib.sha256()
        self._bytes = 0
        self.reader: StreamReader | None = None
        """Of a stream, so that a failure's record can say what reached the caller."""

    async def start(self) -> Receipt:
        """`ask.received`: durable, or no call."""
        call, origin = self.call, self.origin
        details = {
            **call.asked,
            "roles": list(self._principal.roles),
            "model": call.model,
            "address": origin.address,
            "upstream_sha256": call.sha256,
            **({"client_request_id": origin.client_request_id} if origin.client_request_id else {}),
        }
        self._received = await self._record("ask.received", details)
        return self._received

    def deliver(self, written: bytes) -> None:
        """*written* has gone to the caller."""
        self._digest.update(written)
        self._bytes += len(written)

    async def answered(self, completion: Completion) -> Receipt:
        """`ask.answered`: durable, or the answer (or a stream's end) does not leave."""
        usage = completion.usage
        details = {
            "received": self._seq,
            "answer": completion.answer,
            "model": completion.model,
            "usage": usage.members() if usage else None,
            **self._effort(),
            **({"finish_reason": completion.finish} if completion.finish is not None else {}),
            **({"delivered": self._delivered()} if self._bytes or self.reader else {}),
        }
        try:
            receipt = await self._record("ask.answered", details)
        except LongTextUnavailable as error:  # the log itself can be written
            await self.failed(error)
            raise
        tokens = (usage.input_tokens, usage.output_tokens) if usage else None
        self._security.log_answered(self._principal.user_id, self.origin.request_id, completion.model, tokens)
        return receipt

    async def failed(self, error: AppError) -> None:
        """`ask.failed`, with what reached the caller. Raises AuditUnavailable in place of *error* when that cannot be durable."""
        details = {"received": self._seq, "code": error.code, **self._effort(), "delivered": None}
        if self._bytes and self.reader:
            details["delivered"] = {"answer": self.reader.delivered(), **self._delivered()}
        try:
            await self._record("ask.failed", details)
        except LongTextUnavailable:  # then without the text, whose digest is not that of the events either
            await self._record("ask.failed", {**details, "delivered": self._delivered() if self._bytes else None})
        self.origin.terminal_record.is_written = True

    @property
    def _seq(self) -> int:
        assert self._received is not None
        return self._received.seq

    def _delivered(self) -> dict[str, Any]:
        return {"bytes": self._bytes, "sha256": self._digest.hexdigest()}

    def _effort(self) -> dict[str, Any]:
        return {"elapsed_ms": round(1000 * (self._clock() - self._started)), "attempts": 1}

    async def _record(self, action: str, details: dict[str, Any]) -> Receipt:
        """A record that was handed in is waited for, whoever cancels: else nobody knew whether it stands."""
        user_id, request_id = self._principal.user_id, self.origin.request_id
        writing = asyncio.ensure_future(self._security.log_action(user_id, action, details, request_id=request_id))
        while not writing.done():
            try:
                await asyncio.wait({writing})
            except asyncio.CancelledError:
                self.is_stopped = True
        return writing.result()
