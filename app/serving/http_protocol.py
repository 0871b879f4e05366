"""uvicorn's HTTP protocol with bounds on heads, trailers, and what waits behind an answer.

With http_1_0.py the only file that depends on uvicorn's internals: see
tests/contract/test_library_insides.py.
Bytes that never become a request are answered and recorded as a request that failed.
"""

from __future__ import annotations

import asyncio
import logging
import re
from typing import Any

from starlette.types import Receive, Scope, Send
from uvicorn._types import ASGI3Application
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from ..api.http_errors import HeadTooLarge, MalformedHttp
from ..api.middleware import RequestMiddleware
from ..errors import AppError, ClientGone
from .http_1_0 import unchunked

MAX_HEAD_BYTES = 32 * 1024
"""Of a request line with its headers. The rest of the read that passes it may come on top."""
UPGRADE = re.compile(rb"\r\nupgrade:", re.IGNORECASE)
MUTED = ("Invalid HTTP request received.", "ASGI callable returned without completing response.")
"""Messages that uvicorn would log for every broken request that anyone sends."""
ABORT_GRACE_SECONDS = 1.0
"""From an answer that was given up to the end of its connection."""
UNREAD_SECONDS = 5.0
"""A closing connection whose caller reads nothing for so long is aborted."""
HALF_CLOSE_SECONDS = 0.1
"""A caller whose sending ends this soon after the request waits for the answer: eof_received."""
MAX_PIPELINED = 512
"""Requests of one connection that wait for the answers before them."""
MAX_BEHIND_BYTES = 64 * 1024
"""Bytes that may follow a request before its answer is complete."""


class BoundedHttpProtocol(HttpToolsProtocol):
    """Ends what httptools and uvicorn would gather without end; ignores Upgrade (RFC 9110, 7.8)."""

    _head_bytes = 0
    _has_begun = False  # a head has begun and has not ended
    _in_head = True  # in a head or before one
    _ended_here = False  # a message ended in this read, so most of the read was no head
    _is_over = False  # nothing more is read from this connection
    _trailer_bytes = 0  # of all messages of this connection
    _behind = 0  # bytes that came after the request that is being answered
    _running: RequestResponseCycle | None = None  # being answered, or answered last
    _last_read = 0.0  # on the loop's clock
    _has_ended_sending = False  # the caller, who waits for the answer

    def data_received(self, data: bytes) -> None:
        self._last_read = self.loop.time()
        if self._is_over:
            return
        if len(self.pipeline) > MAX_PIPELINED:
            self._is_over = True
            self.transport.abort()
            return
        if self._in_head:
            end = data.find(b"\r\n\r\n")
            head = data if end < 0 else data[:end]
            if UPGRADE.search(head):  # the parser would stop after the head and lose the body
                data = UPGRADE.sub(b"\r\nx-upgrade:", head) + data[len(head) :]
        self._ended_here = False
        if self._running is not None and not (self._running.response_complete or self._running.more_body):
            self._behind += len(data)
            if self._behind > MAX_BEHIND_BYTES:
                self._is_over = True
                self.transport.abort()
                return
        super().data_received(data)
        if self._behind:  # uvicorn would stop reading, and not see that the caller disconnects
            self.flow.resume_reading()
        if self._in_head and not self._ended_here:
            self._head_bytes += len(data)
            if self._head_bytes > MAX_HEAD_BYTES and not self._is_over:
                self._refuse(HeadTooLarge())

    def on_message_begin(self) -> None:
        self._in_head = self._has_begun = True
        super().on_message_begin()

    def on_header(self, name: bytes, value: bytes) -> None:
        if self._has_begun:
            super().on_header(name, value)
            return
        self._trailer_bytes += len(name) + len(value) + 4  # nobody reads trailers; uvicorn keeps them all
        if self._trailer_bytes > MAX_HEAD_BYTES:
            self._is_over = True
            self.transport.close()

    def _unsupported_upgrade_warning(self) -> None:
        """The parser stopped after a head with an Upgrade that `data_received` did not see.

        What follows could be the body or another request, so the connection ends with this answer.
        """
        self._is_over = True
        self.cycle.keep_alive = False
        if self.cycle.response_complete:
            self.transport.close()

    def on_headers_complete(self) -> None:
        super().on_headers_complete()  # raises for a bad target: then the head is broken
        self._in_head = self._has_begun = False
        self._head_bytes = 0

    def on_message_complete(self) -> None:
        self._in_head = self._ended_here = True
        super().on_message_complete()

    def send_400_response(self, msg: str) -> None:
        if self._in_head:
            self._refuse(MalformedHttp())
            return
        self._is_over = True
        if self.cycle.response_complete:  # answered before its body came
            self.transport.close()
            return
        # The request refuses its body when it reads it.
        self.cycle.body = _BrokenBody()
        self.cycle.more_body = self.cycle.keep_alive = False
        self.cycle.message_event.set()

    def eof_received(self) -> bool:  # type: ignore[override]  # uvicorn never goes on
        """Whether to go on, because the caller still reads.

        A caller who closes the connection ends their sending, too. Who waits for the answer ends it
        together with the request (`nc -N`, some proxies), who gives up does it later.
        """
        running, is_whole = self._running, self._is_over or not (self._has_begun or self.cycle.more_body)
        if running is None or running.response_complete or not is_whole:
            return False
        if not self._has_ended_sending:
            is_late = self.loop.time() - self._last_read > HALF_CLOSE_SECONDS
            if is_late or running.response_started:  # who has read of the answer already has not waited for it
                return False
        self._has_ended_sending = True
        self.cycle.keep_alive = False
        return True

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)  # notifies the newest request only
        if self._running is not None:
            self._running.disconnected = True
            self._running.message_event.set()
        if self._has_begun and not self._is_over:
            self._refuse(ClientGone())
        if self.pipeline:  # uvicorn forgets requests that still wait when their caller disconnects
            task = self.loop.create_task(_record_unanswered([self.pipeline.pop() for _ in range(len(self.pipeline))]))
            task.add_done_callback(self.tasks.discard)
            self.tasks.add(task)

    def on_response_complete(self) -> None:
        super().on_response_complete()
        self._abort_unless_read()

    def shutdown(self) -> None:
        super().shutdown()
        self._abort_unless_read()

    def timeout_keep_alive_handler(self) -> None:
        super().timeout_keep_alive_handler()
        self._abort_unless_read()

    def _abort_unless_read(self, before: int | None = None) -> None:
        """A closed transport waits for its caller to read everything: abort it if they do not."""
        left = self.transport.get_write_buffer_size() if self.transport.is_closing() else 0
        if left and before is not None and left >= before:
            self.transport.abort()
        elif left:
            self.loop.call_later(UNREAD_SECONDS, self._abort_unless_read, left)

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: ASGI3Application) -> None:
        self._running, self._behind = cycle, 0

        async def run(scope: Any, receive: Any, send: Any) -> None:
            try:
                await app(scope, receive, send if scope["http_version"] != "1.0" else unchunked(cycle, send))
            finally:
                if not cycle.response_complete:  # given up; uvicorn would wait for the caller to read
                    self.loop.call_later(ABORT_GRACE_SECONDS, self.transport.abort)

        super()._start_asgi_task(cycle, run)

    def _refuse(self, error: AppError) -> None:
        """Answer like any request, after those that came before, and end the connection."""
        self._is_over = True

        async def fail(scope: Scope, receive: Receive, send: Send) -> None:
            raise error

        app: Any = RequestMiddleware(fail)  # uvicorn has its own types for ASGI
        before, self.cycle = self.cycle, self._cycle_of_no_request()
        if before is None or before.response_complete:
            self._start_asgi_task(self.cycle, app)
        else:
            self.pipeline.appendleft((self.cycle, app))

    def _cycle_of_no_request(self) -> RequestResponseCycle:
        super().on_message_begin()  # a new scope
        nothing: Any = {
            **self.scope,
            "app": self.app,
            "method": "",
            "path": "",
            "query_string": b"",
        }
        cycle = RequestResponseCycle(
            scope=nothing,
            transport=self.transport,
            flow=self.flow,
            logger=self.logger,
            access_logger=self.access_logger,
            access_log=self.access_log,
            default_headers=self.server_state.default_headers,
            message_event=asyncio.Event(),
            expect_100_continue=False,
            keep_alive=False,
            on_response=self.on_response_complete,
        )
        cycle.disconnected = self.parser is None
        return cycle


class _BrokenBody(bytearray):
    """In place of a body that is not valid HTTP: reading it raises."""

    def __bytes__(self) -> bytes:
        raise MalformedHttp()


async def _record_unanswered(waiting: list[tuple[RequestResponseCycle, ASGI3Application]]) -> None:
    """Run requests of a caller who disconnected: they fail one by one, and each is recorded."""
    for cycle, app in waiting:
        cycle.disconnected = True
        await cycle.run_asgi(app)


def mute_strangers() -> None:
    """Keep strangers from filling our output: see MUTED."""
    logging.getLogger("uvicorn.error").addFilter(lambda record: record.msg not in MUTED)
