"""Questions as numbers: an Observer, and a StorageMeter of the log."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache, partial

from ...assistant.exchange import RECEIVED
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

    wants_all = False

    def __init__(self, meter: Meter, catalogue: Callable[[], Catalogue]) -> None:
        self.meter, self.catalogue = meter, catalogue
        self._asked = cache(partial(_Asked, self))
        self.answered = cache(partial(_Answered, self))
        self.tried = cache(partial(meter.counter, "upstream_tries_total"))
        self.try_seconds = cache(partial(meter.histogram, "upstream_try_seconds"))

    def begin(self, call: PreparedCall, origin: Origin, principal: Principal) -> _Asked:
        return self._asked("ask" if call.wants_text else call.endpoint.name, call.model)


class _Asked:
    """A Watch of all questions to one model at one endpoint: it keeps nothing of any of them."""

    trace: Trace | None = None

    def __init__(self, metrics: QuestionMetrics, endpoint: str, model: str) -> None:
        meter = metrics.meter
        self._metrics = metrics
        self._received = meter.counter("questions_received_total", endpoint, model)
        self._ended = cache(partial(meter.counter, "questions_total", endpoint, model))
        self._seconds = meter.histogram("question_seconds", model)
        self._first_byte = cache(partial(meter.histogram, "time_to_first_byte_seconds", model))

    def recorded(self, action: str, began: float, receipt: Receipt) -> None:
        if action == RECEIVED:
            self._received.add()

    def ended(self, how: Ended) -> None:
        metrics = self._metrics
        self._ended(how.code or ANSWERED).add()
        self._seconds.observe(how.seconds)
        if how.call.is_stream and how.first_byte_seconds is not None:
            self._first_byte().observe(how.first_byte_seconds)
        for one in how.attempts.tries:
            metrics.tried(one.server, one.why or "ok").add()
            if not one.is_skipped:
                metrics.try_seconds(one.server).observe(one.ms / 1000)
        if how.completion is not None and how.completion.usage is not None:
            metrics.answered(how.call.model).count(how.completion.usage)

    def left(self) -> None:
        pass


class _Answered:
    """What one model used."""

    def __init__(self, metrics: QuestionMetrics, model: str) -> None:
        self._metrics, self._model = metrics, model
        counter = partial(metrics.meter.counter, "tokens_total", model)
        self._input, self._output = counter("input"), counter("output")

    def count(self, usage: Usage) -> None:
        further_input, further_output = usage.further
        self._input.add(usage.input_tokens + further_input)
        self._output.add(usage.output_tokens + further_output)
        add, model = self._metrics.meter.add, self._model
        if usage.cached:
            add("tokens_total", model, "cached_input", amount=usage.cached)
        if usage.reasoning:
            add("tokens_total", model, "reasoning", amount=usage.reasoning)
        catalogue = self._metrics.catalogue()
        if (price := catalogue.prices.get(model)) is not None and (tokens := tokens_of(usage)).are_plausible:
            amount = cost(
                *(price, tokens.input, tokens.output),
                cached_tokens=tokens.cached,
                written_tokens=tokens.written,
                reasoning_tokens=tokens.reasoning,
            )
            add("spent_currency_units_total", model, catalogue.currency, amount=amount / BILLION)


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
