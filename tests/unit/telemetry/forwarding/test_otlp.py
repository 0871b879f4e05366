"""Records as OpenTelemetry log records: their time, their severity, their id, their trace."""

from __future__ import annotations

import pytest
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest, ExportLogsServiceResponse

from app.telemetry.forwarding.event import Event
from app.telemetry.forwarding.otlp import encoder, report_rejected

from ....support.logged import records
from ....support.otlp_receiver import attributes


def test_a_record_is_a_log_record() -> None:
    failed, received = records("ask.failed", "ask.received")
    request = ExportLogsServiceRequest.FromString(encoder("log/1")([Event(one, one.line) for one in (failed, received)]))
    (of,) = request.resource_logs
    assert attributes(of.resource)["secure_ai.log.origin"] == "log/1"
    first, second = of.scope_logs[0].log_records
    assert first.time_unix_nano == round(failed.moment.timestamp() * 1e6) * 1000
    assert (first.severity_text, second.severity_text) == ("ERROR", "INFO")
    assert first.body.string_value.encode() == failed.line
    assert attributes(first)["log.record.uid"] == failed.hash
    assert (first.trace_id, second.trace_id.hex()) == (b"", "4bf92f3577b34da6a3ce929d0e0e4736")
    assert second.event_name == "secure_ai.ask.received"


def test_what_a_receiver_rejects_is_said(caplog: pytest.LogCaptureFixture) -> None:
    answer = ExportLogsServiceResponse()
    report_rejected(answer.SerializeToString())
    assert caplog.text == ""
    answer.partial_success.rejected_log_records = 2
    answer.partial_success.error_message = "too old"
    report_rejected(answer.SerializeToString())
    assert "the receiver rejected 2 records: too old" in caplog.text
    report_rejected(b"\xff\xff\xff")
    assert "no OTLP (DecodeError)" in caplog.text
