"""Questions as numbers: an Observer, and a StorageMeter of the log."""

from __future__ import annotations

from collections.abc import Callable

from ...assistant.models import Origin, Trace
from ...assistant.observer import Ended
from ...assistant.spending import tokens_of
from ...catalogue.models import Catalogue
from ...catalogue.prices import BILLION, cost
from ...security.models import Principal
from ...upstream.attempts import Try
from ...upstream.call import PreparedCall
from ...upstream.completion import Usage
from .board import Meter

ANSWERED = "answered"


class QuestionMetrics:
    """An Observer. *catalogue* gives the policy in force, for its prices."""

    def __init__(self, meter: Meter, catalogue: Callable[[], Catalogue]) -> None:
        self._meter, self._catalogue = meter, catalogue

    def begin(self, call: PreparedCall, origin: Origin, principal: Principal) -> _Question:
        return _Question(self, call)

    def received(self, endpoint: str, model: str) -> None:
        self._meter.add("questions_received_total", endpoint, model)

    def ended(self, endpoint: str, model: str, how: Ended) -> None:
        add, observe = self._meter.add, self._meter.observe
        add("questions_total", endpoint, model, how.code or ANSWERED)
        observe("question_seconds", model, value=how.seconds)
        if how.call.is_stream and how.first_byte_seconds is not None:
            observe("time_to_first_byte_seconds", model, value=how.first_byte_seconds)
        for one in how.attempts.tries:
            self._tried(one)
        if how.completion is not None and how.completion.usage is not None:
            self._count(how.call.model, how.completion.usage)

    def _tried(self, one: Try) -> None:
        self._meter.add("upstream_tries_total", one.server, one.why or "ok")
        if not one.is_skipped:
            self._meter.observe("upstream_try_seconds", one.server, value=one.ms / 1000)

    def _count(self, model: str, usage: Usage) -> None:
        tokens, catalogue = tokens_of(usage), self._catalogue()
        parts = {"input": tokens.input, "output": tokens.output, "cached_input": tokens.cached, "reasoning": tokens.reasoning}
        for kind, count in parts.items():
            if count > 0:
                self._meter.add("tokens_total", model, kind, amount=count)
        if (price := catalogue.prices.get(model)) is not None and tokens.are_plausible:
            amount = cost(
                *(price, tokens.input, tokens.output),
                cached_tokens=tokens.cached,
                written_tokens=tokens.written,
                reasoning_tokens=tokens.reasoning,
            )
            self._meter.add("spent_currency_units_total", model, catalogue.currency, amount=amount / BILLION)


class _Question:
    """A Watch."""

    __slots__ = ("_endpoint", "_metrics", "_model")
    trace: Trace | None = None

    def __init__(self, metrics: QuestionMetrics, call: PreparedCall) -> None:
        self._metrics, self._model = metrics, call.model
        self._endpoint = "ask" if call.wants_text else call.endpoint.name

    def recorded(self, action: str, began: float) -> None:
        if action == "ask.received":
            self._metrics.received(self._endpoint, self._model)

    def ended(self, how: Ended) -> None:
        self._metrics.ended(self._endpoint, self._model, how)

    def left(self) -> None:
        pass


class LogMetrics:
    """A StorageMeter."""

    def __init__(self, meter: Meter) -> None:
        self._meter = meter

    def batch(self, records: int, seconds: float) -> None:
        self._meter.observe("audit_group_records", value=records)
        self._meter.observe("audit_write_seconds", value=seconds)

    def sync(self, seconds: float) -> None:
        self._meter.observe("audit_sync_seconds", value=seconds)

    def durable(self, records: int, seconds: float) -> None:
        self._meter.observe("audit_append_seconds", value=seconds, times=records)
