"""Questions as numbers: an Observer, and a StorageMeter of the log."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache, partial

from ...assistant.models import Origin, Trace
from ...assistant.observer import Ended
from ...assistant.spending import tokens_of
from ...audit.format.record import Receipt
from ...catalogue.models import Catalogue
from ...catalogue.prices import BILLION, cost
from ...security.models import Principal
from ...upstream.call import PreparedCall
from ...upstream.completion import Usage
from .board import Meter

ANSWERED = "answered"


class QuestionMetrics:
    """An Observer. *catalogue* gives the policy in force, for its prices."""

    def __init__(self, meter: Meter, catalogue: Callable[[], Catalogue]) -> None:
        self._add, self._catalogue = meter.add, catalogue
        self._seconds = cache(partial(meter.histogram, "question_seconds"))
        self._first_byte = cache(partial(meter.histogram, "time_to_first_byte_seconds"))
        self._tried = cache(partial(meter.histogram, "upstream_try_seconds"))

    def begin(self, call: PreparedCall, origin: Origin, principal: Principal) -> _Question:
        return _Question(self, call)

    def received(self, endpoint: str, model: str) -> None:
        self._add("questions_received_total", endpoint, model)

    def ended(self, endpoint: str, model: str, how: Ended) -> None:
        add = self._add
        add("questions_total", endpoint, model, how.code or ANSWERED)
        self._seconds(model).observe(how.seconds)
        if how.call.is_stream and how.first_byte_seconds is not None:
            self._first_byte(model).observe(how.first_byte_seconds)
        for one in how.attempts.tries:
            add("upstream_tries_total", one.server, one.why or "ok")
            if not one.is_skipped:
                self._tried(one.server).observe(one.ms / 1000)
        if how.completion is not None and how.completion.usage is not None:
            self._count(how.call.model, how.completion.usage)

    def _count(self, model: str, usage: Usage) -> None:
        add, (further_input, further_output) = self._add, usage.further
        add("tokens_total", model, "input", amount=usage.input_tokens + further_input)
        add("tokens_total", model, "output", amount=usage.output_tokens + further_output)
        if usage.cached:
            add("tokens_total", model, "cached_input", amount=usage.cached)
        if usage.reasoning:
            add("tokens_total", model, "reasoning", amount=usage.reasoning)
        catalogue = self._catalogue()
        if (price := catalogue.prices.get(model)) is not None and (tokens := tokens_of(usage)).are_plausible:
            amount = cost(
                *(price, tokens.input, tokens.output),
                cached_tokens=tokens.cached,
                written_tokens=tokens.written,
                reasoning_tokens=tokens.reasoning,
            )
            add("spent_currency_units_total", model, catalogue.currency, amount=amount / BILLION)


class _Question:
    """A Watch."""

    __slots__ = ("_endpoint", "_metrics", "_model")
    trace: Trace | None = None

    def __init__(self, metrics: QuestionMetrics, call: PreparedCall) -> None:
        self._metrics, self._model = metrics, call.model
        self._endpoint = "ask" if call.wants_text else call.endpoint.name

    def recorded(self, action: str, began: float, receipt: Receipt) -> None:
        if action == "ask.received":
            self._metrics.received(self._endpoint, self._model)

    def ended(self, how: Ended) -> None:
        self._metrics.ended(self._endpoint, self._model, how)

    def left(self) -> None:
        pass


class LogMetrics:
    """A StorageMeter."""

    def __init__(self, meter: Meter) -> None:
        self._append, self._write = meter.histogram("audit_append_seconds"), meter.histogram("audit_write_seconds")
        self._group, self._sync = meter.histogram("audit_group_records"), meter.histogram("audit_sync_seconds")

    def batch(self, records: int, seconds: float) -> None:
        self._group.observe(records)
        self._write.observe(seconds)

    def sync(self, seconds: float) -> None:
        self._sync.observe(seconds)

    def durable(self, records: int, seconds: float) -> None:
        self._append.observe(seconds, records)
