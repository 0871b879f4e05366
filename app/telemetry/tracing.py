"""A span for each question, by OpenTelemetry's conventions for generative AI.

Holds no text of a question or an answer, and no caller, unless the operator asks for texts
(OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT=true).
"""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import (
    NonRecordingSpan,
    Span,
    SpanContext,
    SpanKind,
    Status,
    StatusCode,
    TraceFlags,
    Tracer,
    TraceState,
    set_span_in_context,
)

from .. import __version__
from ..assistant.models import Origin, Trace
from ..assistant.observer import Ended
from ..audit.format.record import Receipt
from ..security.models import Principal
from ..upstream.attempts import Try
from ..upstream.call import PreparedCall
from .content import input_messages, output_messages

NAME = "secure-ai-assistant"
OPERATIONS = {"embeddings": "embeddings", "completions": "text_completion"}
"""By endpoint; all others chat."""
REQUEST = {
    "temperature": "gen_ai.request.temperature",
    "top_p": "gen_ai.request.top_p",
    "max_tokens": "gen_ai.request.max_tokens",
    "max_completion_tokens": "gen_ai.request.max_tokens",
    "max_output_tokens": "gen_ai.request.max_tokens",
}
MOST = 2**63
"""OTLP knows no greater integer: the exporter would log a traceback for each."""
LEFT = "not_recorded"
"""What went wrong with a question of which no end is recorded."""


def open_provider(node: str, worker: int) -> TracerProvider:
    """Sends spans to where the OTEL_* variables say, from a thread of its own."""
    own = {"service.version": __version__, "service.instance.id": f"{node or os.uname().nodename}/{worker + 1}"}
    if "OTEL_SERVICE_NAME" not in os.environ:
        own["service.name"] = NAME
    provider = TracerProvider(resource=Resource.create(own), shutdown_on_exit=False)
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    return provider


class Tracing:
    """An Observer."""

    wants_all = True

    def __init__(self, provider: TracerProvider, *, with_texts: bool = False) -> None:
        self.tracer: Tracer = provider.get_tracer(NAME, __version__)
        self.with_texts = with_texts

    def begin(self, call: PreparedCall, origin: Origin, principal: Principal) -> _Question:
        return _Question(self, call, origin)


class _Question:
    """A Watch."""

    def __init__(self, tracing: Tracing, call: PreparedCall, origin: Origin) -> None:
        self._tracing, self._clock = tracing, (time.time_ns(), time.monotonic())
        operation = OPERATIONS.get(call.endpoint.name, "chat")
        parent = set_span_in_context(NonRecordingSpan(_context_of(origin.trace))) if origin.trace else None
        self._span = span = tracing.tracer.start_span(
            f"{operation} {call.model}", context=parent, kind=SpanKind.CLIENT, start_time=self._clock[0]
        )
        own = span.get_span_context()
        state = origin.trace.state if origin.trace else ""
        self.trace = Trace(f"{own.trace_id:032x}", f"{own.span_id:016x}", f"{own.trace_flags:02x}", state)
        if span.is_recording():
            span.set_attributes({**_asked(call, operation), "secure_ai.request_id": origin.request_id})
            if tracing.with_texts:
                span.set_attribute("gen_ai.input.messages", input_messages(call.asked))

    def recorded(self, action: str, began: float, receipt: Receipt) -> None:
        if self._span.is_recording():
            child = self._child(f"record {action}", SpanKind.INTERNAL, began)
            child.set_attribute("secure_ai.record.seq", receipt.seq)
            child.end()

    def ended(self, how: Ended) -> None:
        span = self._span
        if not span.is_recording():
            return
        for one in how.attempts.tries:
            self._tried(one)
        span.set_attribute("secure_ai.server.name", how.call.upstream.name)
        if how.code is not None:
            span.set_attribute("error.type", how.code)
            span.set_status(Status(StatusCode.ERROR))
        if how.completion is not None:
            span.set_attributes(_answered(how))
            if self._tracing.with_texts:
                span.set_attribute("gen_ai.output.messages", output_messages(how.completion))
        span.end()

    def left(self) -> None:
        if self._span.is_recording():  # else its end was told
            self._span.set_attribute("error.type", LEFT)
            self._span.set_status(Status(StatusCode.ERROR))
            self._span.end()

    def _tried(self, one: Try) -> None:
        child = self._child(f"POST {one.server}", SpanKind.CLIENT, one.began)
        child.set_attributes({"secure_ai.server.name": one.server, "http.request.method": "POST"})
        if one.status is not None:
            child.set_attribute("http.response.status_code", one.status)
        if one.why is not None:
            child.set_attribute("error.type", one.why)
            child.set_status(Status(StatusCode.ERROR))
        child.end(self._wall(one.began) + one.ms * 1_000_000)

    def _child(self, name: str, kind: SpanKind, began: float) -> Span:
        context = set_span_in_context(self._span)
        return self._tracing.tracer.start_span(name, context=context, kind=kind, start_time=self._wall(began))

    def _wall(self, monotonic: float) -> int:
        """In nanoseconds since 1970."""
        wall, then = self._clock
        return wall + round((monotonic - then) * 1e9)


def _context_of(trace: Trace) -> SpanContext:
    state = TraceState.from_header([trace.state]) if trace.state else None
    flags = TraceFlags(int(trace.flags, 16) & TraceFlags.SAMPLED)
    return SpanContext(int(trace.trace_id, 16), int(trace.span_id, 16), is_remote=True, trace_flags=flags, trace_state=state)


def _asked(call: PreparedCall, operation: str) -> Mapping[str, Any]:
    where = urlsplit(call.upstream.address)
    found: dict[str, Any] = {
        "gen_ai.operation.name": operation,
        "gen_ai.provider.name": call.endpoint.protocol,
        "gen_ai.request.model": call.model,
    }
    if where.hostname:
        found |= {"server.address": where.hostname, "server.port": where.port or (443 if where.scheme == "https" else 80)}
    params = call.asked.get("params")
    if isinstance(params, Mapping):
        given = [(attribute, params.get(name)) for name, attribute in REQUEST.items()]
        found |= {attribute: value for attribute, value in given if isinstance(value, int | float) and abs(value) < MOST}
    return found


def _answered(how: Ended) -> Mapping[str, Any]:
    completion = how.completion
    assert completion is not None
    found: dict[str, Any] = {"gen_ai.response.model": completion.model}
    if completion.usage is not None:
        found["gen_ai.usage.input_tokens"] = completion.usage.input_tokens
        found["gen_ai.usage.output_tokens"] = completion.usage.output_tokens
    reasons = completion.finish if isinstance(completion.finish, list) else [completion.finish]
    if words := [one for one in reasons if isinstance(one, str)]:
        found["gen_ai.response.finish_reasons"] = words
    if completion.response_id:
        found["gen_ai.response.id"] = completion.response_id
    return found
