"""SecureAIAssistant: a question is written down, asked, and its answer written down before it is given."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Mapping
from typing import Any, Protocol

from ..errors import AppError, ClientGone, Interrupted, Overloaded, UpstreamTimeout
from ..security.audit.entry import Receipt
from ..security.manager import SecurityManager
from ..security.models import Principal
from .models import Answer, Completion, PreparedCall, Question

LOG = logging.getLogger("app.assistant")


class Model(Protocol):
    """What the assistant asks of a language model; app.assistant.llm has the real one."""

    @property
    def chain(self) -> Any:
        """LangChain's `prompt | model | parser`."""

    @property
    def name(self) -> str:
        """The model's name, as it is asked for."""

    def prepare(self, query: str) -> PreparedCall:
        """The exact body that will be sent for *query*, and its digest."""

    async def send(self, call: PreparedCall) -> Completion:
        """Send that body. Has no deadline of its own. Raises UpstreamError or a class below it."""


class SecureAIAssistant:
    """Every door asks through `ask`, so that every door is recorded alike."""

    def __init__(
        self,
        security: SecurityManager,
        model: Model,
        *,
        timeout_seconds: float,
        max_waiting: int | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """*max_waiting*: how many questions may be with the model or wait for it; None for no bound."""
        self._security = security
        self._model = model
        self._timeout_seconds = timeout_seconds
        self._max_waiting = max_waiting
        self._clock = clock
        self._asking = 0

    @property
    def chain(self) -> Any:
        """The runnable `prompt | model | parser`: the successor that LangChain names for LLMChain."""
        return self._model.chain

    async def ask(self, principal: Principal, question: Question, hung_up: asyncio.Future[None] | None = None) -> Answer:
        """The answer, once its record is durable. *hung_up* is done once the caller is gone: the model is asked no further.

        Raises Overloaded (nothing was recorded or sent), AuditUnavailable (no answer leaves; if `ask.received` could not
        be written, nothing was sent), or, with `ask.failed` written: UpstreamError or below it, ClientGone, Interrupted (in
        place of CancelledError), AppError for what nobody foresaw.
        """
        if self._max_waiting is not None and self._asking >= self._max_waiting:
            raise Overloaded(retry_after=5)
        self._asking += 1
        try:
            return await self._ask(principal, question, hung_up)
        finally:
            self._asking -= 1

    async def _ask(self, principal: Principal, question: Question, hung_up: asyncio.Future[None] | None) -> Answer:
        call = self._model.prepare(question.query)
        started = self._clock()
        # (1) Durable, or no call.
        received = await self._record(
            principal,
            question,
            "ask.received",
            {
                "query": question.query,
                "roles": list(principal.roles),
                "model": self._model.name,
                "address": question.address,
                "upstream_sha256": call.sha256,
                **({"client_request_id": question.client_request_id} if question.client_request_id else {}),
            },
        )
        # (2) The call, under one deadline.
        try:
            async with asyncio.timeout(self._timeout_seconds):
                completion = await self._send(call, hung_up)
        except TimeoutError:
            error: AppError = UpstreamTimeout()
            await self._record_failure(principal, question, received, started, error)
            raise error from None
        except AppError as error:
            await self._record_failure(principal, question, received, started, error)
            raise
        except asyncio.CancelledError:  # nothing but a stop that ran out of grace cancels a question
            stop = Interrupted()
            await asyncio.shield(self._record_failure(principal, question, received, started, stop))
            raise stop from None
        except Exception as crash:  # ours to mend; its record ends the question, as far as the log can be written
            LOG.exception("request %s failed in a way that nobody foresaw", question.request_id)
            failure = AppError()
            await self._record_failure(principal, question, received, started, failure)
            raise failure from crash
        # (3) Durable, or no answer.
        usage = completion.usage
        receipt = await self._record(
            principal,
            question,
            "ask.answered",
            {
                "received": received.seq,
                "answer": completion.text,
                "model": completion.model,
                "usage": usage and {"input_tokens": usage.input_tokens, "output_tokens": usage.output_tokens},
                "elapsed_ms": self._elapsed_ms(started),
                "attempts": 1,
            },
        )
        return Answer(completion.text, completion.model, usage, question.request_id, receipt)

    async def _send(self, call: PreparedCall, hung_up: asyncio.Future[None] | None) -> Completion:
        if hung_up is None:
            return await self._model.send(call)
        task = asyncio.current_task()
        assert task is not None

        def stop(_: asyncio.Future[None]) -> None:
            if not hung_up.cancelled():
                task.cancel()

        hung_up.add_done_callback(stop)
        try:
            return await self._model.send(call)
        except asyncio.CancelledError:
            if not hung_up.done() or hung_up.cancelled():
                raise  # somebody else's
            task.uncancel()
            raise ClientGone() from None
        finally:
            hung_up.remove_done_callback(stop)

    async def _record_failure(
        self, principal: Principal, question: Question, received: Receipt, started: float, error: AppError
    ) -> None:
        """Write `ask.failed`. Raises AuditUnavailable in place of *error* when that cannot be durable."""
        details = {
            "received": received.seq,
            "code": error.code,
            "elapsed_ms": self._elapsed_ms(started),
            "attempts": 1,
            "delivered": None,
        }
        await self._record(principal, question, "ask.failed", details)
        error.recorded = True

    async def _record(self, principal: Principal, question: Question, action: str, details: Mapping[str, Any]) -> Receipt:
        return await self._security.log_action(principal.user_id, action, details, request_id=question.request_id)

    def _elapsed_ms(self, started: float) -> int:
        return round(1000 * (self._clock() - started))
