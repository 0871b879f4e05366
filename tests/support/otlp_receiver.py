"""An OTLP/HTTP receiver: takes spans and log records as OpenTelemetry's own protobuf definitions have them."""

from __future__ import annotations

import gzip
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest, ExportLogsServiceResponse
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest, ExportTraceServiceResponse


@dataclass
class Received:
    """Everything since the start."""

    spans: list[Any] = field(default_factory=list)
    logs: list[Any] = field(default_factory=list)
    resources: list[dict[str, Any]] = field(default_factory=list)
    url: str = ""
    statuses: list[int] = field(default_factory=list)
    """What the next requests are answered with, in order; then 200."""


def attributes(of: Any) -> dict[str, Any]:
    """Of a span, a log record or a resource."""
    return {one.key: value_of(one.value) for one in of.attributes}


def value_of(value: Any) -> Any:
    kind = value.WhichOneof("value")
    found: Any = getattr(value, kind) if kind else None
    if kind == "array_value":
        return [value_of(one) for one in found.values]
    if kind == "kvlist_value":
        return {one.key: value_of(one.value) for one in found.values}
    return found


@contextmanager
def receiving(port: int = 0) -> Iterator[Received]:
    received = Received()

    class Handler(BaseHTTPRequestHandler):
        timeout = 30

        def do_POST(self) -> None:
            data = self.rfile.read(int(self.headers["content-length"]))
            if self.headers.get("content-encoding") == "gzip":
                data = gzip.decompress(data)
            status = received.statuses.pop(0) if received.statuses else 200
            body = _take(received, self.path, data) if status == 200 else b""
            self.send_response(status)
            self.send_header("content-type", "application/x-protobuf")
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *said: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
    server.daemon_threads = False
    received.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield received
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def _take(received: Received, path: str, data: bytes) -> bytes:
    if path == "/v1/traces":
        traces = ExportTraceServiceRequest.FromString(data)
        for of in traces.resource_spans:
            received.resources.append(attributes(of.resource))
            received.spans += _all(scope.spans for scope in of.scope_spans)
        return bytes(ExportTraceServiceResponse().SerializeToString())
    assert path == "/v1/logs", path
    for logs in ExportLogsServiceRequest.FromString(data).resource_logs:
        received.resources.append(attributes(logs.resource))
        received.logs += _all(scope.log_records for scope in logs.scope_logs)
    return bytes(ExportLogsServiceResponse().SerializeToString())


def _all(parts: Iterable[Iterable[Any]]) -> list[Any]:
    return [one for part in parts for one in part]
