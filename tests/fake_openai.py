"""A fast stand-in for a server of the OpenAI protocol, on a real socket: `python -m tests.fake_openai --port P`.

POST .../chat/completions is counted and answered as the mode says; everything else is control:
GET /control/calls, GET /control/bodies, POST /control/mode {"mode", "delay", "body", "headers"}, POST /control/reset.
The modes: ok, no_usage, status:NNN, redirect, garbage, not_http, hang, close, truncate, huge. Answers leave each connection
in the order of its requests, so pipelining is safe.
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import http.client
import json
import os
import subprocess
import sys
from collections import deque
from contextlib import closing
from typing import Any, Self

import httptools
import orjson

HUGE_BYTES = 256 * 1024 * 1024
PIECE = 64 * 1024  # also a transport's high-water mark
KEPT_BODIES, KEPT_DIGESTS = 1_000, 1_000_000


def completion_text(query: str) -> str:
    """What the fake answers to *query*."""
    return "echo: " + hashlib.sha256(query.encode()).hexdigest()[:16]


class Fake:
    """What all connections of one process share."""

    def __init__(self, delay: float = 0.0, keep_digests: bool = False) -> None:
        self.keep_digests = keep_digests
        self.reset()
        self.delay = delay  # until the first control/mode

    def reset(self) -> None:
        self.calls = self.strays = self.huge_bytes = 0
        self.bodies: deque[bytes] = deque(maxlen=KEPT_BODIES)
        self.headers: list[tuple[bytes, bytes]] = []
        self.digests: deque[str] = deque(maxlen=KEPT_DIGESTS)
        self.set_mode({})

    def set_mode(self, wanted: dict[str, Any]) -> None:
        """*body* replaces the answer's body, whatever the mode; U+DC80 to U+DCFF in it stand for bytes that are not UTF-8."""
        self.mode = str(wanted.get("mode", "ok"))
        self.delay = float(wanted.get("delay", 0.0))
        body = wanted.get("body")
        self.body = None if body is None else str(body).encode("utf-8", "surrogateescape")
        self.extra_headers = "".join(f"{name}: {text}\r\n" for name, text in wanted.get("headers", {}).items()).encode()

    def complete(self, body: bytes) -> bytes:
        """Count one call; the bytes that answer it (empty for the modes that a connection must act out)."""
        self.calls += 1
        self.bodies.append(body)
        if self.keep_digests:
            self.digests.append(hashlib.sha256(body).hexdigest())
        if self.mode.startswith("status:"):
            return self._reply(int(self.mode[7:]), b'{"error":{"message":"as told","type":"fake","code":null}}')
        match self.mode:
            case "ok" | "no_usage":
                return self._reply(200, self._completion(body))
            case "redirect":
                self.extra_headers = b"Location: /redirected/chat/completions\r\n"
                return self._reply(307, b"")
            case "truncate":
                return self._reply(200, self._completion(body))[:-10]
            case "garbage":
                return self._reply(200, b"<html>this is not JSON</html>")
            case "not_http":
                return b"\x00\x01\x02 this is not HTTP\r\n\r\n"
        return b""

    def control(self, target: bytes, body: bytes) -> bytes:
        known: dict[str, Any] = {}
        match target:
            case b"/control/calls":
                known = {"calls": self.calls, "strays": self.strays, "huge_bytes": self.huge_bytes}
            case b"/control/bodies":
                texts = [body.decode("utf-8", "replace") for body in self.bodies]
                headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in self.headers}
                known = {"bodies": texts, "sha256": list(self.digests), "headers": headers}
            case b"/control/mode":
                self.set_mode(json.loads(body))
            case b"/control/reset":
                self.reset()
            case _:
                self.strays += 1
                return self._reply(404, b"{}", plain=True)
        return self._reply(200, orjson.dumps(known), plain=True)

    def _completion(self, body: bytes) -> bytes:
        asked = orjson.loads(body)
        message = {"role": "assistant", "content": completion_text(asked["messages"][-1]["content"])}
        answer = {"id": f"chatcmpl-{self.calls}", "object": "chat.completion", "created": 1_700_000_000}
        answer |= {"model": asked["model"], "choices": [{"index": 0, "message": message, "finish_reason": "stop"}]}
        if self.mode != "no_usage":
            answer["usage"] = {"prompt_tokens": 12, "completion_tokens": 7, "total_tokens": 19}
        return orjson.dumps(answer)

    def _reply(self, status: int, body: bytes, plain: bool = False) -> bytes:
        extra, body = (b"", body) if plain else (self.extra_headers, body if self.body is None else self.body)
        line = b"HTTP/1.1 200 OK" if status == 200 else b"HTTP/1.1 %d As Told" % status
        return b"%b\r\nContent-Type: application/json\r\n%bContent-Length: %d\r\n\r\n" % (line, extra, len(body)) + body


class Connection(asyncio.Protocol):
    """One client. `waiting` holds the answers not yet written, with the seconds to wait before each."""

    transport: asyncio.Transport

    def __init__(self, fake: Fake) -> None:
        self.fake, self.loop = fake, asyncio.get_running_loop()
        self.waiting: deque[tuple[bytes, float, str]] = deque()
        self.timer: asyncio.TimerHandle | None = None
        self.huge_left = 0
        self.parser = httptools.HttpRequestParser(self)
        self.on_url(b"")

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport  # type: ignore[assignment]  # uvloop's is no asyncio.Transport by class

    def connection_lost(self, exc: Exception | None) -> None:
        self.waiting.clear()
        self.huge_left = 0
        if self.timer:
            self.timer.cancel()

    def data_received(self, data: bytes) -> None:
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserError:
            self.transport.abort()

    def on_url(self, url: bytes) -> None:
        self.target = url
        self.chunks: list[bytes] = []
        self.headers: list[tuple[bytes, bytes]] = []

    def on_body(self, body: bytes) -> None:
        self.chunks.append(body)

    def on_header(self, name: bytes, value: bytes) -> None:
        self.headers.append((name, value))

    def on_message_complete(self) -> None:
        fake, body = self.fake, b"".join(self.chunks)
        if self.target == b"/v1/chat/completions" and self.parser.get_method() == b"POST":
            fake.headers = self.headers
            self.waiting.append((fake.complete(body), fake.delay, fake.mode))
        else:
            self.waiting.append((fake.control(self.target, body), 0.0, ""))
        if len(self.waiting) == 1:
            self._answer()

    def _answer(self, waited: bool = False) -> None:
        while self.waiting:
            reply, delay, mode = self.waiting[0]
            if mode == "hang":
                return None
            if delay and not waited:
                self.timer = self.loop.call_later(delay, self._answer, True)
                return None
            waited = False
            self.waiting.popleft()
            if mode == "close":
                self.transport.abort()
                return None
            if mode == "huge":
                self.transport.write(b'HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nConnection: close\r\n\r\n"')
                self.huge_left = HUGE_BYTES
                return self.resume_writing()
            self.transport.write(reply)
            if mode in ("truncate", "not_http"):
                return self.transport.close()
        return None

    def resume_writing(self) -> None:
        """One piece, and the next when the transport wants more, so that a client that stops reading stops us."""
        if self.huge_left <= 0 or self.transport.is_closing():
            return
        self.transport.write(b"x" * PIECE)
        self.huge_left -= PIECE
        self.fake.huge_bytes += PIECE
        if self.huge_left <= 0:
            self.transport.close()
        elif self.transport.get_write_buffer_size() <= PIECE:  # above it the transport calls us when it has drained
            self.loop.call_soon(self.resume_writing)


async def serve(fake: Fake, port: int, with_parent: bool) -> None:
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Connection(fake), "127.0.0.1", port, backlog=1024)
    print(server.sockets[0].getsockname()[1], flush=True)
    if with_parent:  # end with whoever holds our stdin, even if it was killed
        loop.add_reader(0, lambda: os.read(0, 4096) or os._exit(0))
    await server.serve_forever()


class FakeOpenAI:
    """The fake in a process of its own: `with FakeOpenAI() as fake: ... fake.base_url`."""

    def __init__(self, *, keep_digests: bool = False) -> None:
        self._command = [sys.executable, __file__, "--with-parent", *["--keep-digests"] * keep_digests]

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(self._command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        assert self._process.stdout
        self.port = int(self._process.stdout.readline())
        self.base_url = f"http://127.0.0.1:{self.port}/v1"
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.communicate()

    def calls(self, what: str = "calls") -> int:
        """Or `strays` (requests to any other address), or `huge_bytes` (written in the mode `huge`)."""
        return int(self._control("GET", "calls")[what])

    def seen(self) -> dict[str, Any]:
        """`bodies` (the last ones), `sha256` (of every body, in order, if `keep_digests`), `headers` (of the last call)."""
        return dict(self._control("GET", "bodies"))

    def set(self, mode: str = "ok", **more: float | str | dict[str, str] | None) -> None:
        """The mode, and as in `Fake.set_mode`: *delay* in seconds, *body*, *headers*."""
        self._control("POST", "mode", {"mode": mode, **more})

    def reset(self) -> None:
        self._control("POST", "reset")

    def _control(self, method: str, what: str, wanted: object = None) -> Any:
        with closing(http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)) as connection:
            connection.request(method, f"/control/{what}", json.dumps(wanted))
            return json.loads(connection.getresponse().read())


if __name__ == "__main__":
    import uvloop  # not on Windows

    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--port", type=int, default=0, help="0 takes a free one; it is printed on stdout")
    arguments.add_argument("--delay", type=float, default=0.0, help="seconds before each answer")
    arguments.add_argument("--keep-digests", action="store_true", help="the SHA-256 of each body")
    arguments.add_argument("--with-parent", action="store_true", help="end when stdin is closed")
    given = arguments.parse_args()
    uvloop.run(serve(Fake(given.delay, given.keep_digests), given.port, given.with_parent))
