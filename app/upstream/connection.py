"""One connection to a model's server, and the race with a server that closes an idle one."""

from __future__ import annotations

import asyncio
import re
import socket
import ssl
from collections.abc import Callable, Sequence
from time import monotonic
from typing import cast

from ..errors import UpstreamError, UpstreamUnavailable
from .answer import Answer, NotHttp
from .attempts import Try
from .errors import DEFAULT_RETRY_AFTER, log_upstream, unusable

KEEP_ALIVE_SECONDS = 4.0
"""How long a connection may be idle. uvicorn and vLLM close theirs after 5 s, most others later."""
IDLE_CLOSE_SECONDS = 1.0
CONNECTION_FAULTS = (OSError, NotHttp)
_TIMEOUT = re.compile(r"(?:^|[,;\s])timeout\s*=\s*\"?([0-9]{1,9})", re.IGNORECASE)


class Disconnected(ConnectionError):
    """The connection was closed before the answer had ended."""


class IdleClosed(Disconnected):
    """A connection that had been idle was closed as the request was sent; no byte came back.

    Nearly always the server closed it before it saw the request. It may have begun to work on it.
    """


_WORDS: tuple[tuple[type[Exception], str], ...] = (
    (ssl.SSLError, "tls"),
    (NotHttp, "not_http"),
    (socket.gaierror, "dns"),
    (IdleClosed, "idle_close"),
    (TimeoutError, "connect_timeout"),
    (ConnectionRefusedError, "connection_refused"),
)
"""What went wrong, as records say it."""


class Connection(asyncio.Protocol):
    """Carries one request after the other."""

    _transport: asyncio.Transport

    def __init__(self, on_over: Callable[[Connection], None], on_lost: Callable[[Connection], None], *, is_kept: bool) -> None:
        """*on_over*: an answer is over. *is_kept*: for more than one request."""
        self._on_over, self._on_lost, self._is_kept = on_over, on_lost, is_kept
        self._answer: Answer | None = None
        self._uses = 0
        self.closed = asyncio.Event()
        self._sent_at = self._idle_until = 0.0

    def send(self, request: Sequence[bytes]) -> Answer:
        """The answer, of which nothing has come yet. Raises OSError."""
        if self._transport.is_closing():
            raise Disconnected
        self._uses += 1
        self._sent_at = monotonic()
        self._answer = answer = Answer(self._transport)
        self._transport.writelines(request)
        return answer

    def is_usable(self) -> bool:
        """Whether this idle connection may carry a request."""
        return not self._transport.is_closing() and monotonic() <= self._idle_until

    def close(self) -> None:
        """At once: what was not sent yet is not sent, and TLS is not ended politely."""
        self._transport.abort()

    # --- called by the event loop ----------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's have its methods, and not its class

    def data_received(self, data: bytes) -> None:
        if self._answer is None:  # nobody asked for it
            self.close()
            return
        self._answer.feed(data)
        if self._answer.is_over:
            self._end(self._answer)

    def connection_lost(self, error: Exception | None) -> None:
        self.closed.set()
        self._on_lost(self)
        if (answer := self._answer) is not None:
            is_young = monotonic() - self._sent_at <= IDLE_CLOSE_SECONDS
            answer.lose(IdleClosed() if self._uses > 1 and is_young and not answer.bytes else Disconnected())
            self._end(answer)

    def _end(self, answer: Answer) -> None:
        self._answer = None
        is_kept = self._is_kept and answer.keeps_alive and not self._transport.get_write_buffer_size()
        self._idle_until = monotonic() + _keep_seconds(answer.header(b"keep-alive"))
        if not is_kept or not self.is_usable():
            self.close()
        self._on_over(self)


def _keep_seconds(told: str) -> float:
    """A second less than the server's `Keep-Alive: timeout=N`, and at most KEEP_ALIVE_SECONDS."""
    found = _TIMEOUT.search(told) if told else None
    return min(KEEP_ALIVE_SECONDS, int(found[1]) - 1.0) if found else KEEP_ALIVE_SECONDS


def error_of_fault(fault: Exception, asked: Try) -> UpstreamError:
    """Our error for what the connection raised; logs it, and tells *asked*."""
    asked.why = _word_of(fault, is_sent=asked.is_sent)
    if isinstance(fault, ssl.SSLError):
        return unusable(b"", "TLS failure")
    if isinstance(fault, NotHttp):
        return unusable(b"", "answer that is not HTTP")
    log_upstream(f"connection failure ({type(fault).__name__})", b"")
    return UpstreamUnavailable(retry_after=DEFAULT_RETRY_AFTER)


def _word_of(fault: Exception, *, is_sent: bool) -> str:
    otherwise = "connection_lost" if is_sent else "not_connected"
    return next((word for kind, word in _WORDS if isinstance(fault, kind)), otherwise)
