"""Records as OpenTelemetry log records, by the protobuf definitions of the extra `otel`."""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence

from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest, ExportLogsServiceResponse
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, InstrumentationScope, KeyValue
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord, ResourceLogs, ScopeLogs, SeverityNumber
from opentelemetry.proto.resource.v1.resource_pb2 import Resource

from ... import __version__
from ..siem.ocsf import HIGH, LOW, MEDIUM
from .event import Event

LOG = logging.getLogger("app.forward")
PATH = "/v1/logs"
SERVICE = "secure-ai-assistant"
SEVERITY = {
    LOW: (SeverityNumber.SEVERITY_NUMBER_WARN, "WARN"),
    MEDIUM: (SeverityNumber.SEVERITY_NUMBER_ERROR, "ERROR"),
    HIGH: (SeverityNumber.SEVERITY_NUMBER_ERROR3, "ERROR"),
}
INFO = (SeverityNumber.SEVERITY_NUMBER_INFO, "INFO")
TRACE_DIGITS = 32


def encoder(origin: str) -> _Encoder:
    """*origin*: the name of the log."""
    return _Encoder(origin)


class _Encoder:
    def __init__(self, origin: str) -> None:
        named = {"service.name": SERVICE, "service.version": __version__, "secure_ai.log.origin": origin}
        self._resource = Resource(attributes=[_text(name, value) for name, value in named.items()])
        self._scope = InstrumentationScope(name=SERVICE, version=__version__)

    def __call__(self, events: Sequence[Event]) -> bytes:
        now = time.time_ns()
        logs = ScopeLogs(scope=self._scope, log_records=[_record(event, now) for event in events])
        request = ExportLogsServiceRequest(resource_logs=[ResourceLogs(resource=self._resource, scope_logs=[logs])])
        return bytes(request.SerializeToString())


def report_rejected(body: bytes) -> None:
    """Says so where a receiver confirmed a batch and rejected some: OTLP sends it only once."""
    try:
        partial = ExportLogsServiceResponse.FromString(body).partial_success
    except Exception as error:  # noqa: BLE001 - protobuf has errors of its own; a 2xx confirmed the batch
        LOG.warning("the receiver's answer is no OTLP (%s); its status confirmed the records", type(error).__name__)
        return
    if partial.rejected_log_records:
        LOG.error("the receiver rejected %d records: %s", partial.rejected_log_records, partial.error_message)


def _record(event: Event, now: int) -> LogRecord:
    record = event.record
    number, text = SEVERITY.get(event.severity_id, INFO)
    named = {"log.record.uid": record.hash, "secure_ai.action": record.action, "secure_ai.request_id": record.request_id}
    trace = record.details.get("trace_id")
    return LogRecord(
        time_unix_nano=round(record.moment.timestamp() * 1_000_000) * 1000,
        observed_time_unix_nano=now,
        severity_number=number,
        severity_text=text,
        event_name=f"secure_ai.{record.action}",
        body=AnyValue(string_value=event.body.decode("utf-8", "replace")),
        attributes=[*(_text(*one) for one in named.items()), KeyValue(key="secure_ai.seq", value=AnyValue(int_value=record.seq))],
        trace_id=bytes.fromhex(trace) if isinstance(trace, str) and len(trace) == TRACE_DIGITS else b"",
    )


def _text(key: str, value: str) -> KeyValue:
    return KeyValue(key=key, value=AnyValue(string_value=value))
