"""A model's server that streams one readable answer: for pictures of the console."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

ANSWER = (
    "A hash chain links each record to the one before it: every record holds the digest of its predecessor. "
    "Change a single byte, and the digest of that record no longer fits the link in the next one.\n\n"
    "It shows an edit, but not a cut end: for that, keep a signed checkpoint or a receipt somewhere else."
)


class _Handler(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        words = ANSWER.split(" ")
        usage = {"prompt_tokens": 41, "completion_tokens": len(words) * 4 // 3}
        usage["total_tokens"] = sum(usage.values())
        self.send_response(200)
        if not body.get("stream"):
            message = {"role": "assistant", "content": ANSWER}
            choice = {"index": 0, "message": message, "finish_reason": "stop"}
            document = {"id": "c", "object": "chat.completion", "model": body["model"], "choices": [choice], "usage": usage}
            encoded = json.dumps(document).encode()
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(encoded)))
            self.end_headers()
            self.wfile.write(encoded)
            return
        self.send_header("content-type", "text/event-stream")
        self.end_headers()
        for at, word in enumerate(words):
            self._chunk(body["model"], {"content": word + " " * (at + 1 < len(words))}, None)
            time.sleep(0.01)
        self._chunk(body["model"], {}, "stop")
        self._send({"id": "c", "object": "chat.completion.chunk", "model": body["model"], "choices": [], "usage": usage})
        self.wfile.write(b"data: [DONE]\n\n")

    def _chunk(self, model: str, delta: dict[str, str], reason: str | None) -> None:
        choice = {"index": 0, "delta": delta, "finish_reason": reason}
        self._send({"id": "c", "object": "chat.completion.chunk", "model": model, "choices": [choice]})

    def _send(self, document: object) -> None:
        self.wfile.write(b"data: " + json.dumps(document).encode() + b"\n\n")
        self.wfile.flush()

    def log_message(self, *arguments: object) -> None:
        pass


@contextmanager
def pleasant_model() -> Iterator[str]:
    """Its base URL."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}/v1"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
