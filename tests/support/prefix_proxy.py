"""A reverse proxy that takes a prefix off the path, as many deployments do."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from .service import HTTP

KEPT = ("authorization", "content-type", "accept", "origin")


@contextmanager
def stripping(prefix: str, target: str) -> Iterator[str]:
    """The address of a proxy that serves *target* beneath *prefix*, and nothing else."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.forward()

        def do_POST(self) -> None:
            self.forward()

        def forward(self) -> None:
            body = self.rfile.read(int(self.headers.get("content-length", 0)))
            if not self.path.startswith(prefix + "/"):
                self.send_error(404, "not beneath the prefix")
                return
            headers = {name: value for name, value in self.headers.items() if name.lower() in KEPT}
            answer = HTTP.request(
                self.command, target + self.path.removeprefix(prefix), headers=headers, content=body, timeout=60
            )
            self.send_response(answer.status_code)
            for name, value in answer.headers.items():
                if name not in ("transfer-encoding", "content-length", "connection", "content-encoding"):
                    self.send_header(name, value)
            self.send_header("content-length", str(len(answer.content)))
            self.end_headers()
            self.wfile.write(answer.content)

        def log_message(self, *ignored: object) -> None: ...

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}{prefix}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
