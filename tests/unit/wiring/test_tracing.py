"""OpenTelemetry's own variables decide whether questions are traced."""

from __future__ import annotations

import pytest

from app.errors import ConfigError
from app.wiring import tracing
from app.wiring.tracing import TEXTS, is_tracing, variables_of, verify_tracing, wants_texts

WHERE = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:4318"}


@pytest.mark.parametrize(
    ("environment", "is_on"),
    [
        ({}, False),
        ({"OTEL_SERVICE_NAME": "gateway"}, False),
        (WHERE, True),
        ({"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://127.0.0.1:4318/v1/traces"}, True),
        (WHERE | {"OTEL_SDK_DISABLED": "True"}, False),
        (WHERE | {"OTEL_TRACES_EXPORTER": "none"}, False),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": ""}, False),
    ],
)
def test_it_is_off_unless_it_is_said_where_spans_go(environment: dict[str, str], is_on: bool) -> None:
    assert is_tracing(environment) is is_on


@pytest.mark.parametrize(("value", "wanted"), [("true", True), ("TRUE", True), ("1", False), ("", False)])
def test_texts_are_wanted_only_where_that_is_said(value: str, wanted: bool) -> None:
    assert wants_texts({TEXTS: value}) is wanted


def test_only_its_own_variables_are_taken() -> None:
    assert variables_of({**WHERE, "SECRET_KEY": "x"}) == WHERE


def test_another_protocol_is_refused_by_name() -> None:
    verify_tracing(WHERE | {"OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf"})
    with pytest.raises(ConfigError, match="OTEL_EXPORTER_OTLP_TRACES_PROTOCOL takes http/protobuf"):
        verify_tracing(WHERE | {"OTEL_EXPORTER_OTLP_TRACES_PROTOCOL": "grpc"})


def test_without_the_extra_it_is_refused_with_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tracing, "find_spec", lambda name: None)
    verify_tracing({})
    with pytest.raises(ConfigError, match=r"OTEL_EXPORTER_OTLP_ENDPOINT is set, .* install the extra `otel`"):
        verify_tracing(WHERE)
