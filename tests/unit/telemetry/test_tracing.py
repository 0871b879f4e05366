"""Spans of questions: named and timed by convention, in the caller's trace, ended whatever happens."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF
from opentelemetry.trace import SpanKind

from app.assistant.models import Trace
from app.assistant.observer import Ended
from app.audit.format.record import Receipt
from app.telemetry.tracing import LEFT, Tracing
from app.upstream.attempts import Attempts, Try
from app.upstream.completion import Completion, Usage
from app.upstream.protocol.embeddings import EMBEDDINGS
from app.upstream.protocol.endpoint import Endpoint
from app.upstream.protocol.messages import MESSAGES

from ...support.asking import PRINCIPAL, origin, prepared

RECEIPT = Receipt(7, "a" * 64)
ANSWER = Completion("fine", "small-1", Usage(3, 5), answer="fine", finish="stop", response_id="r-1")


class Traced:
    def __init__(self, *, with_texts: bool = False, sampler: Any = None) -> None:
        self.kept = InMemorySpanExporter()
        provider = TracerProvider(sampler=sampler, shutdown_on_exit=False)
        provider.add_span_processor(SimpleSpanProcessor(self.kept))
        self.tracing = Tracing(provider, with_texts=with_texts)

    @property
    def spans(self) -> dict[str, ReadableSpan]:
        return {one.name: one for one in self.kept.get_finished_spans()}

    def ask(self, call: Any, how: Ended | None = None, trace: Trace | None = None) -> Trace:
        watch = self.tracing.begin(call, replace(origin(), trace=trace), PRINCIPAL)
        watch.recorded("ask.received", time.monotonic(), RECEIPT)
        if how is not None:
            watch.ended(how)
        watch.left()
        return watch.trace


def call(endpoint: Endpoint | None = None, **more: Any) -> Any:
    upstream = SimpleNamespace(name="lab", address="https://lab.example/v1")
    return prepared(upstream, endpoint, **more) if endpoint else prepared(upstream, **more)


def ended(asked: Any, tries: Sequence[Try] = (), code: str | None = None) -> Ended:
    attempts = Attempts()
    attempts.tries = list(tries)
    return Ended(asked, attempts, 1.0, None, None if code else ANSWER, code)


def test_a_number_beyond_the_wire_is_left_out() -> None:
    traced, asked = Traced(), call()
    asked.asked["params"] = {"temperature": 2**63, "top_p": 0.5, "max_tokens": -(2**64)}
    traced.ask(asked, ended(asked))
    found = traced.spans["chat alias"].attributes or {}
    assert {name: value for name, value in found.items() if name.startswith("gen_ai.request.")} == {
        "gen_ai.request.model": "alias",
        "gen_ai.request.top_p": 0.5,
    }


def test_an_answer_has_what_the_conventions_name() -> None:
    traced, asked = Traced(), call()
    traced.ask(asked, ended(asked))
    span = traced.spans["chat alias"]
    assert span.kind is SpanKind.CLIENT
    assert dict(span.attributes or {}) == {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "openai",
        "gen_ai.request.model": "alias",
        "gen_ai.response.finish_reasons": ("stop",),
        "gen_ai.response.id": "r-1",
        "gen_ai.response.model": "small-1",
        "gen_ai.usage.input_tokens": 3,
        "gen_ai.usage.output_tokens": 5,
        "secure_ai.request_id": "0" * 32,
        "secure_ai.server.name": "lab",
        "server.address": "lab.example",
        "server.port": 443,
    }


@pytest.mark.parametrize(
    ("endpoint", "name", "provider"), [(EMBEDDINGS, "embeddings alias", "openai"), (MESSAGES, "chat alias", "anthropic")]
)
def test_the_operation_and_the_provider_are_those_of_the_endpoint(endpoint: Endpoint, name: str, provider: str) -> None:
    traced = Traced()
    asked = call(endpoint)
    traced.ask(asked, ended(asked))
    attributes = traced.spans[name].attributes
    assert attributes is not None
    assert attributes["gen_ai.provider.name"] == provider


def test_it_belongs_to_the_callers_trace_and_is_what_the_server_is_told() -> None:
    traced, theirs = Traced(), Trace("1" * 32, "2" * 16, "01", "vendor=1")
    told = traced.ask(call(), ended(call()), theirs)
    span = traced.spans["chat alias"]
    assert span.parent is not None
    assert (f"{span.parent.trace_id:032x}", f"{span.parent.span_id:016x}") == (theirs.trace_id, theirs.span_id)
    assert span.context is not None
    assert told == Trace(theirs.trace_id, f"{span.context.span_id:016x}", "01", "vendor=1")


def test_each_try_and_each_record_is_a_child_with_its_own_time() -> None:
    traced, asked = Traced(), call()
    failed, good = Try("lab"), Try("spare")
    failed.status = 500
    failed.end("status")
    good.end(None)
    traced.ask(asked, ended(asked, [failed, good]))
    spans = traced.spans
    assert set(spans) == {"chat alias", "record ask.received", "POST lab", "POST spare"}
    attributes = spans["POST lab"].attributes
    assert attributes is not None
    assert (attributes["http.response.status_code"], attributes["error.type"]) == (500, "status")
    assert spans["POST spare"].status.is_ok
    assert not spans["POST lab"].status.is_ok
    record = spans["record ask.received"].attributes
    assert record is not None
    assert record["secure_ai.record.seq"] == 7


def test_a_failure_has_its_code_and_what_never_ended_says_so() -> None:
    traced, asked = Traced(), call()
    traced.ask(asked, ended(asked, code="upstream_timeout"))
    attributes = traced.spans["chat alias"].attributes
    assert attributes is not None
    assert attributes["error.type"] == "upstream_timeout"
    traced.kept.clear()
    traced.ask(asked)
    attributes = traced.spans["chat alias"].attributes
    assert attributes is not None
    assert attributes["error.type"] == LEFT


def test_texts_are_there_only_where_they_are_asked_for() -> None:
    asked = call()
    for with_texts in (False, True):
        traced = Traced(with_texts=with_texts)
        traced.ask(asked, ended(asked))
        attributes = traced.spans["chat alias"].attributes
        assert attributes is not None
        assert ("hi" in json.dumps(dict(attributes))) is with_texts
        assert ("fine" in json.dumps(dict(attributes))) is with_texts


def test_a_trace_that_is_not_sampled_goes_on_and_costs_no_span() -> None:
    traced, theirs = Traced(sampler=ALWAYS_OFF), Trace("1" * 32, "2" * 16, "00")
    told = traced.ask(call(), ended(call()), theirs)
    assert traced.spans == {}
    assert (told.trace_id, told.flags) == (theirs.trace_id, "00")
