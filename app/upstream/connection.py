"""The HTTP connections to a model's server, and the race with a server that closes an idle one.

Everything that leans on aiohttp's insides is in this file; the version is pinned to a minor, and
tests/contract/test_library_insides.py says which inside has changed.
"""

from __future__ import annotations

import asyncio
import re
import ssl
from collections.abc import Mapping
from functools import partial
from time import monotonic
from typing import Any, cast

import aiohttp
import certifi
from aiohttp.client_proto import ResponseHandler

from ..errors import UpstreamError, UpstreamUnavailable
from .bounds import FRAMING_FACTOR, MAX_HEAD_BYTES, MAX_HEADS, STEP_BYTES
from .errors import DEFAULT_RETRY_AFTER, log_upstream, unusable

KEEP_ALIVE_SECONDS = 4.0
"""How long a connection may be idle. uvicorn and vLLM close theirs after 5 s, most others later."""
IDLE_CLOSE_SECONDS = 1.0
CONNECT_SECONDS = 10.0
"""A server that does not take a connection for so long is unavailable."""
MAX_HEADER_BYTES = 64 * 1024
"""Of one header, and of the status line."""
MAX_FIELDS = 1_000
"""Headers of one answer."""
_LENGTHS = re.compile(rb"\r\ncontent-length: *([0-9]+(?: *, *[0-9]+)*) *(?=\r\n)", re.IGNORECASE)
CONNECTION_FAULTS = (aiohttp.ClientError, OSError)
CONNECTIONS = 1024
"""To one server, of one worker."""


class IdleClosed(aiohttp.ServerDisconnectedError):
    """A connection that had been idle was closed as the request was sent; no byte came back.

    Nearly always the server closed it before it saw the request. It may have begun to work on it.
    """


class Connection(ResponseHandler):
    """One connection. Knows whether it was used before, and whether an answer has begun."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(loop=loop)
        self._uses = 0
        self._sent_at = self._heard_at = 0.0
        self._is_answering = False
        self._heads = self._bytes = 0  # of the answer
        self._keep_seconds = KEEP_ALIVE_SECONDS

    def set_response_params(self, **params: Any) -> None:
        """A request is about to be sent."""
        self._uses += 1
        self._sent_at = monotonic()
        self._is_answering = False
        self._heads = self._bytes = 0
        super().set_response_params(**params)

    def data_received(self, data: bytes) -> None:
        if not self._is_answering:
            self._is_answering = True
            data = _with_one_length(data)
        self._heard_at = monotonic()
        if len(data) <= STEP_BYTES:  # nearly always
            self._take(data)
        else:
            for at in range(0, len(data), STEP_BYTES):
                self._take(data[at : at + STEP_BYTES])

    def feed_data(self, data: Any, size: int = 0) -> None:
        """The head of an answer was read."""
        self._heads += 1
        self._keep_seconds = _keep_seconds(data[0].headers)
        super().feed_data(data, size)

    def _take(self, data: bytes) -> None:
        """Parse *data*, and end an answer of which too much is head, trailers or size of chunks."""
        self._bytes += len(data)
        super().data_received(data)
        if self._bytes <= MAX_HEAD_BYTES and self._heads <= MAX_HEADS:
            return
        body = self._payload
        framing = self._bytes - FRAMING_FACTOR * (body.total_bytes if body is not None else 0)
        if (framing > MAX_HEAD_BYTES or self._heads > MAX_HEADS) and self.transport is not None:
            self.transport.close()
            self.set_exception(aiohttp.http.HttpProcessingError())
            if body is not None and not body.is_eof():
                body.set_exception(aiohttp.ClientPayloadError())

    def set_exception(self, exc: BaseException, *cause: BaseException) -> None:
        is_fault = isinstance(exc, CONNECTION_FAULTS) and not self._is_answering
        if is_fault and self._uses > 1 and monotonic() - self._sent_at <= IDLE_CLOSE_SECONDS:
            exc = IdleClosed()
        super().set_exception(exc, *cause)

    def is_connected(self) -> bool:
        """Whether this idle connection may be used again. Bytes that nobody asked for end it."""
        return super().is_connected() and not self.should_close and monotonic() - self._heard_at <= self._keep_seconds


def _with_one_length(data: bytes) -> bytes:
    """*data*, which begins with the head of an answer, with equal Content-Lengths made one.

    RFC 9112, section 6.3, lets a client do so; aiohttp's parser refuses them. A head that comes in
    pieces stays as it is.
    """
    at = data.find(b"ength:", 0, 4096)
    if data.find(b"ength:", at + 6, 4096) < 0 and data.find(b",", at, data.find(b"\r\n", at)) < 0:
        return data  # nearly always
    head_end = data.find(b"\r\n\r\n") + 2
    lengths = b",".join(_LENGTHS.findall(data, 0, head_end)).replace(b" ", b"").split(b",")
    if len(lengths) < 2 or len(set(lengths)) > 1:
        return data
    return b"%bContent-Length: %b\r\n%b" % (_LENGTHS.sub(b"", data[:head_end]), lengths[0], data[head_end:])


def _keep_seconds(headers: Mapping[str, str]) -> float:
    """A second less than the server's `Keep-Alive: timeout=N`, and at most KEEP_ALIVE_SECONDS."""
    if "Keep-Alive" not in headers:
        return KEEP_ALIVE_SECONDS
    told = re.search(r"(?:^|[,;\s])timeout\s*=\s*\"?([0-9]{1,9})", headers["Keep-Alive"], re.IGNORECASE)
    return min(KEEP_ALIVE_SECONDS, int(told[1]) - 1.0) if told else KEEP_ALIVE_SECONDS


def open_session(headers: Mapping[str, str], *, is_tls: bool, is_fresh: bool = False) -> aiohttp.ClientSession:
    """A pool of connections that our settings alone direct. *is_fresh*: a new one each time.

    `trust_env` is off: aiohttp would read `HTTP_PROXY` and `~/.netrc`, and send prompts or
    passwords to servers named there. Cookies are ignored for the same reason.
    """
    tls = ssl.create_default_context() if is_tls else None
    if tls is not None:  # a slim container has no certificates of its own
        tls.load_verify_locations(certifi.where())
    connector = aiohttp.TCPConnector(
        limit=CONNECTIONS,
        ssl=True if tls is None else tls,
        force_close=is_fresh,
        keepalive_timeout=None if is_fresh else KEEP_ALIVE_SECONDS,
    )
    connector._factory = cast(Any, partial(Connection, asyncio.get_running_loop()))
    return aiohttp.ClientSession(
        connector=connector,
        cookie_jar=aiohttp.DummyCookieJar(),
        headers=headers,
        timeout=aiohttp.ClientTimeout(sock_connect=CONNECT_SECONDS),
        trust_env=False,
        auto_decompress=False,  # we decode: so a small answer cannot unfold into a large one
        max_line_size=MAX_HEADER_BYTES,
        max_field_size=MAX_HEADER_BYTES,
        max_headers=MAX_FIELDS,
    )


def take_unread(content: aiohttp.StreamReader) -> bytes:
    """What has arrived of a body and was not read, also where the connection failed after it."""
    if content.exception() is None:
        return content.read_nowait()
    data = b"".join(content._buffer)
    content._buffer.clear()
    return data


def error_of_fault(fault: Exception) -> UpstreamError:
    """Our error for what the connection raised; logs it."""
    if isinstance(fault, aiohttp.ClientSSLError | aiohttp.ClientConnectorCertificateError):
        return unusable(b"", "TLS failure")
    if isinstance(fault, aiohttp.ClientConnectionError | aiohttp.ClientPayloadError | OSError):
        log_upstream(f"connection failure ({type(fault).__name__})", b"")
        return UpstreamUnavailable(retry_after=DEFAULT_RETRY_AFTER)
    return unusable(b"", f"answer that is not HTTP ({type(fault).__name__})")
