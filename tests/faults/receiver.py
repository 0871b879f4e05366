"""A receiver of records, to be killed: python -m tests.faults.receiver KIND PORT FILE [CERTIFICATE].

It writes the hash of each record as a line of FILE, and confirms a batch only once that is on disk.
"""

from __future__ import annotations

import json
import os
import re
import socket
import ssl
import sys
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

HASH = re.compile(rb' hash="([0-9a-f]{64})"')
Keep = Callable[[list[bytes]], None]


def of_json(body: bytes) -> list[bytes]:
    return [one["hash"].encode() for one in json.loads(body)]


def of_otlp(body: bytes) -> list[bytes]:
    from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest  # late: an extra

    (logs,) = ExportLogsServiceRequest.FromString(body).resource_logs
    named = [{one.key: one.value.string_value for one in record.attributes} for record in logs.scope_logs[0].log_records]
    return [one["log.record.uid"].encode() for one in named]


def of_syslog(data: bytes) -> list[bytes]:
    """Octets are counted. Raises ValueError or TypeError for what is cut."""
    found = []
    while data:
        count, _, rest = data.partition(b" ")
        if len(rest) < int(count):
            raise ValueError("cut")
        found.append(HASH.search(rest[: int(count)])[1])  # type: ignore[index]  # each message has one
        data = rest[int(count) :]
    return found


def serve_http(port: int, keep: Keep, read: Callable[[bytes], list[bytes]]) -> None:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            keep(read(self.rfile.read(int(self.headers["content-length"]))))
            self.send_response(200)
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, *said: object) -> None:
            pass

    HTTPServer(("127.0.0.1", port), Handler).serve_forever()


def serve_syslog(port: int, keep: Keep, certificate: Path) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    context.options &= ~ssl.OP_IGNORE_UNEXPECTED_EOF
    listener = socket.create_server(("127.0.0.1", port))
    while True:
        connection, _ = listener.accept()
        try:
            with context.wrap_socket(connection, server_side=True) as stream:
                data = b"".join(iter(lambda stream=stream: stream.recv(65536), b""))  # type: ignore[misc]  # bound in the loop
                keep(of_syslog(data))
                stream.unwrap()
        except (OSError, ValueError, TypeError):  # its sender was killed
            connection.close()


def main(kind: str, port: int, file: Path, certificate: Path) -> None:
    out = file.open("ab")

    def keep(hashes: list[bytes]) -> None:
        out.write(b"".join(one + b"\n" for one in hashes))
        out.flush()
        os.fsync(out.fileno())

    if kind == "syslog":
        serve_syslog(port, keep, certificate)
    serve_http(port, keep, of_otlp if kind == "otlp" else of_json)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), Path(sys.argv[3]), Path(sys.argv[4]))
