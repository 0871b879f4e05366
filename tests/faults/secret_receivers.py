"""What leaves for other systems (forwarded records, spans, tables with types), for the hunt of planted secrets."""

from __future__ import annotations

import socketserver
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler
from typing import TYPE_CHECKING, Any

import pyarrow.parquet  # type: ignore[import-untyped]  # it has no stubs

from ..support.otlp_receiver import Received, receiving

if TYPE_CHECKING:
    from .secrets import Hunt

HEADERS = "headers.txt"
FORWARDED = "records forwarded"
LEAST_RECORDS = 20


@contextmanager
def serving(handler: type[socketserver.BaseRequestHandler]) -> Iterator[int]:
    """The port of a server that hands its connections to *handler*."""
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield server.server_address[1]
        finally:
            server.shutdown()
            thread.join()


def syslog_into(kept: list[bytes]) -> type[socketserver.BaseRequestHandler]:
    class Handler(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            kept.append(self.rfile.read())

    return Handler


def http_into(kept: list[bytes]) -> type[socketserver.BaseRequestHandler]:
    """Keeps bodies, not headers: one of them is a secret."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            kept.append(self.rfile.read(int(self.headers["content-length"])))
            self.send_response(200)
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, *said: object) -> None:
            pass

    return Handler


def tracing(receiver: Received, secret: str) -> dict[str, str]:
    """Settings: spans go to *receiver*, with *secret* in a header."""
    return {
        "OTEL_EXPORTER_OTLP_ENDPOINT": receiver.url,
        "OTEL_EXPORTER_OTLP_HEADERS": f"x-token={secret}",
        "OTEL_BSP_SCHEDULE_DELAY": "50",
    }


def send_everywhere(hunt: Hunt, records: str, spans: Received) -> None:
    """All records by each protocol and as Parquet, with texts (an output whose name begins with *records*) and without."""
    (hunt.service.folder / HEADERS).write_text(f"Authorization: Bearer {hunt.secrets['token of a receiver']}\n")
    for option in ((), ("--no-content",)):
        begin = FORWARDED if option else f"{records} and forwarded"
        by_syslog, by_http = list[bytes](), list[bytes]()
        with serving(syslog_into(by_syslog)) as port:
            _forward(hunt, f"syslog+tcp://127.0.0.1:{port}", *option)
        with serving(http_into(by_http)) as port:
            _forward(hunt, f"http://127.0.0.1:{port}/in", "--header-file", HEADERS, "--format", "jsonl", *option)
        with receiving() as otlp:
            _forward(hunt, f"otlp+{otlp.url}", "--header-file", HEADERS, *option)
        by_otlp = _as_bytes(otlp.logs)
        for way, data in (("syslog", b"".join(by_syslog)), ("http", b"".join(by_http)), ("OTLP", by_otlp)):
            assert data.count(b"ask.received") > LEAST_RECORDS, f"little came by {way}"
            hunt.outputs[f"{begin} by {way}"] = data
        hunt.outputs[f"{begin} as Parquet"] = _parquet(hunt, *option)
    hunt.outputs["spans"] = _as_bytes(spans.spans) + str(spans.resources).encode()
    assert b"gen_ai.request.model" in hunt.outputs["spans"]
    _name_wrongly(hunt)


def _forward(hunt: Hunt, to: str, *options: str) -> None:
    done = hunt.service.run("audit", "forward", to, "--once", *options)
    hunt.outputs[f"said by a forwarder {len(hunt.outputs)}"] = (done.stdout + done.stderr).encode()


def _as_bytes(messages: list[Any]) -> bytes:
    """Of protobuf, in which texts stand as they are."""
    return b"\n".join(one.SerializeToString() for one in messages)


def _parquet(hunt: Hunt, *options: str) -> bytes:
    to = hunt.service.folder / f"{len(hunt.outputs)}.parquet"
    hunt.service.run("audit", "export", str(to), "--format", "parquet", "--since", "2026-01-01", *options)
    rows = pyarrow.parquet.read_table(to).to_pylist()
    to.unlink()  # its bytes are compressed: what is searched is what a reader gets
    assert len(rows) > LEAST_RECORDS
    return "\n".join(str(value) for row in rows for value in row.values()).encode()


def _name_wrongly(hunt: Hunt) -> None:
    """A secret where the address of a receiver, its headers and its certificates belong."""
    secret, wrong = hunt.secrets["token of a receiver"], "wrong.txt"
    (hunt.service.folder / wrong).write_text(secret)
    for words in (
        (f"https://u:{secret}@127.0.0.1/in",),
        (f"otlp+http://127.0.0.1:1?key={secret}",),
        (f"{secret}://127.0.0.1:1",),
        ("https://127.0.0.1:1", "--header-file", wrong),
        ("syslog+tls://127.0.0.1:1", "--ca", wrong),
        ("https://127.0.0.1:1", "--name", secret + "/"),
    ):
        done = hunt.service.run("audit", "forward", *words, "--once", status=None)
        assert done.returncode != 0
        hunt.outputs[f"a forwarder named wrongly {len(hunt.outputs)}"] = (done.stdout + done.stderr).encode()
    (hunt.service.folder / wrong).unlink()
