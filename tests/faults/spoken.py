"""Bytes to a live service or its proxy, and the answers in what comes back."""

from __future__ import annotations

import json
import re
import socket
import ssl
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass

from app.kit.event_stream import KEEP_ALIVE

HEAD = re.compile(rb"HTTP/1\.1 (\d{3}) [^\r\n]*\r\n((?:[^\r\n:]+: ?[^\r\n]*\r\n)*)\r\n")
CODE = re.compile(r"[a-z_]+")
SECONDS = 60


@dataclass(frozen=True)
class Answer:
    status: int
    headers: dict[bytes, bytes]
    body: bytes

    @property
    def code(self) -> str | None:
        """What a refusal names, in whichever style; none in another answer."""
        if self.status < 400:
            return None
        document = json.loads(self.body)
        error = document.get("error", document)
        if isinstance(error, str):
            return error
        return str(error.get("details", {}).get("error_code") or error["code"] or error["type"])

    def verify(self) -> None:
        """Raises AssertionError for a fault of the server, and for a refusal that is not as documented."""
        assert self.status != 500, self
        assert b"Traceback" not in self.body, self
        if self.status >= 400 and self.body:  # none after HEAD
            assert CODE.fullmatch(self.code or ""), self
            assert len(self.headers[b"x-request-id"]) == 32, self


def speak(
    port: int, data: bytes, tls: ssl.SSLContext | None = None, seconds: float = SECONDS, ends: bool = False
) -> list[Answer]:
    """Send *data*, then read until the other side closes, or is silent for *seconds*.

    *ends*: tell that no more comes, which ends a request that is never whole.
    """
    said = b""
    with socket.create_connection(("127.0.0.1", port), timeout=seconds) as plain:
        with tls.wrap_socket(plain) if tls else plain as caller:
            with suppress(OSError):  # refused before it had come whole
                caller.sendall(data)
                if ends:
                    caller.shutdown(socket.SHUT_WR)
            with suppress(ConnectionResetError, BrokenPipeError, TimeoutError):
                while KEEP_ALIVE not in said[-100:] and (more := caller.recv(1 << 16)):  # a feed never ends
                    said += more
    return list(answers_in(said))


def say_and_hear(port: int, data: bytes) -> bytes:
    """All that comes back; of a feed the beginning."""
    said = b""
    with socket.create_connection(("127.0.0.1", port), timeout=SECONDS) as caller:
        caller.sendall(data)
        while KEEP_ALIVE not in said[-100:] and (more := caller.recv(1 << 16)):
            said += more
    return said


def say(port: int, data: bytes) -> None:
    """Send *data*, read what comes at once, and go."""
    with suppress(OSError), socket.create_connection(("127.0.0.1", port)) as caller:
        caller.sendall(data)
        caller.settimeout(0.1)
        assert b" 500 " not in caller.recv(1 << 16)[:20]


def answers_in(said: bytes) -> Iterator[Answer]:
    """One that was cut is left out. Raises AssertionError for what is no answer."""
    at = 0
    while at < len(said) and (found := HEAD.match(said, at)):
        lines = (line.partition(b":") for line in found[2].split(b"\r\n")[:-1])
        headers = {name.lower(): value.strip() for name, _, value in lines}
        if headers.get(b"transfer-encoding") == b"chunked":
            body, at = _chunks(said, found.end())
        else:
            at = found.end() + int(headers.get(b"content-length", 0))
            body = said[found.end() : at]
        yield Answer(int(found[1]), headers, body)
    assert at >= len(said) or b"\r\n\r\n" not in said[at:], said[at : at + 300]


def _chunks(said: bytes, at: int) -> tuple[bytes, int]:
    body = b""
    while (end := said.find(b"\r\n", at)) > 0:
        size = int(said[at:end], 16)
        body, at = body + said[end + 2 : end + 2 + size], end + size + 4
        if not size:
            break
    return body, at
