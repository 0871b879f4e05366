"""Whether questions are traced: by the names of OpenTelemetry's own variables."""

from __future__ import annotations

import os
from collections.abc import Mapping
from importlib.util import find_spec

from ..errors import ConfigError

PREFIX = "OTEL_"
ENDPOINTS = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
PROTOCOLS = ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL")
TEXTS = "OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT"


def variables_of(environment: Mapping[str, str]) -> dict[str, str]:
    """OpenTelemetry's."""
    return {name: value for name, value in environment.items() if name.startswith(PREFIX)}


def is_tracing(environment: Mapping[str, str] = os.environ) -> bool:
    is_off = _is_true(environment.get("OTEL_SDK_DISABLED", "")) or environment.get("OTEL_TRACES_EXPORTER", "otlp") == "none"
    return not is_off and any(environment.get(name) for name in ENDPOINTS)


def wants_texts(environment: Mapping[str, str] = os.environ) -> bool:
    """Whether spans are to hold what is asked and answered."""
    return _is_true(environment.get(TEXTS, ""))


def verify_tracing(environment: Mapping[str, str]) -> None:
    """Raises ConfigError where it is wanted and cannot be."""
    if not is_tracing(environment):
        return
    if find_spec("opentelemetry.exporter") is None or find_spec("opentelemetry.exporter.otlp.proto.http") is None:
        raise ConfigError(
            f"{_named(environment, ENDPOINTS)} is set, but OpenTelemetry is not installed: install the extra `otel`, or unset it."
        )
    protocol = next(filter(None, map(environment.get, PROTOCOLS)), "http/protobuf")
    if protocol != "http/protobuf":
        raise ConfigError(f"{_named(environment, PROTOCOLS)} takes http/protobuf: there is no other exporter here.")


def _named(environment: Mapping[str, str], names: tuple[str, ...]) -> str:
    return next(name for name in names if environment.get(name))


def _is_true(value: str) -> bool:
    return value.strip().lower() == "true"
