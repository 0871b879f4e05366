"""One request on a connection, as the application receives it, and its answer.

With http_protocol.py the only file that depends on uvicorn's internals.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Any, NamedTuple

from uvicorn.config import Config
from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.protocols.http.httptools_impl import RequestResponseCycle
from uvicorn.server import ServerState

from ..assistant.disconnect import EXTENSION, Disconnected
from ..errors import AppError
from .http_parser import Head

LOGGER = logging.getLogger("uvicorn.error")
MUTED = "ASGI callable returned without completing response."
"""uvicorn would log it for every answer that is given up."""
ABORT_GRACE_SECONDS = 1.0
"""From an answer that was given up to the end of its connection."""


class ServerParts(NamedTuple):
    """What uvicorn gives to each connection."""

    config: Config
    state: ServerState
    app_state: dict[str, Any]


class HttpRequest(RequestResponseCycle):
    """uvicorn's cycle, whose body may turn out to be none; HTTP/1.0 gets no chunks."""

    problem: AppError | None = None
    """What ended the body early. Reading the body raises it."""
    is_early = False
    """Whether the answer ends the connection before the whole body has come."""
    _lost: Disconnected | None = None

    def start(self, server: ServerParts) -> None:
        """Run the application in a task, among those that a stop waits for."""
        loop, app = asyncio.get_running_loop(), server.config.loaded_app

        async def run(scope: Any, receive: Any, send: Any) -> None:
            try:
                await app(scope, receive, send if scope["http_version"] != "1.0" else self.send_without_chunks)
            finally:
                scope["extensions"].clear()  # it names this request: without a cycle, it goes at once
                if not self.response_complete:  # given up; uvicorn would wait for the caller to read
                    loop.call_later(ABORT_GRACE_SECONDS, self.transport.abort)

        task = loop.create_task(self.run_asgi(run))
        task.add_done_callback(server.state.tasks.discard)
        server.state.tasks.add(task)

    def add(self, body: bytes) -> None:
        self.body += body
        self.message_event.set()

    def end_body(self) -> None:
        self.more_body = False
        self.message_event.set()

    def fail(self, problem: AppError) -> None:
        """The rest of the body does not come, and the answer ends the connection."""
        self.problem, self.keep_alive = problem, False
        self.message_event.set()

    def lose(self) -> None:
        """The caller has disconnected."""
        self.disconnected = True
        self.message_event.set()
        if self._lost is not None and not self._lost.done():
            self._lost.set_result(None)

    def until_lost(self) -> Disconnected:
        """The future of the ASGI extension EXTENSION. It must not be cancelled."""
        if self._lost is None:
            self._lost = asyncio.get_running_loop().create_future()
            if self.disconnected:
                self._lost.set_result(None)
        return self._lost

    @property
    def is_proven(self) -> bool:
        """Whether a credential of the caller was verified."""
        context = self.scope["state"].get("context")
        return context is not None and context.user_id is not None

    async def receive(self) -> Any:
        """As ASGI says. Raises `problem`. Reads on only while there is more of the body."""
        if self.waiting_for_100_continue and not self.transport.is_closing():
            self.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
            self.waiting_for_100_continue = False
        if not self.disconnected and not self.response_complete and self.problem is None:
            if self.more_body:
                self.flow.resume_reading()
            await self.message_event.wait()
            self.message_event.clear()
        if self.problem is not None and not self.disconnected:
            raise self.problem
        if self.disconnected or self.response_complete:
            return {"type": "http.disconnect"}
        body, self.body = bytes(self.body), bytearray()
        return {"type": "http.request", "body": body, "more_body": self.more_body}

    async def send(self, message: Any) -> None:
        """As ASGI says. After an early answer the connection is closed later, by the protocol.

        A close with a body on its way would be a reset, which discards the answer.
        """
        if self.more_body and self.response_started and not (self.keep_alive or message.get("more_body")):
            self.keep_alive = self.is_early = True
        await super().send(message)
        if self.is_early and not self.transport.is_closing():
            self.transport.write_eof()

    async def send_without_chunks(self, message: Any) -> None:
        """For HTTP/1.0, which does not know chunks (RFC 9112, section 6.1).

        An answer of unknown length ends with the connection (section 6.3).
        """
        if message["type"] == "http.response.start":
            self._is_open_ended = not any(name == b"content-length" for name, _ in message["headers"])
        if self._is_open_ended:
            self.chunked_encoding, self.expected_content_length = False, len(message.get("body", b""))
        await self.send(message)


def open_request(
    head: Head,
    server: ServerParts,
    transport: asyncio.Transport,
    flow: FlowControl,
    addresses: tuple[Any, Any],
    on_answered: Callable[[], None],
) -> HttpRequest:
    """The request with this head; it is not running yet. *addresses*: ours and the caller's."""
    scope: Any = {
        "type": "http",
        "asgi": {"version": server.config.asgi_version, "spec_version": "2.3"},
        "http_version": head.version,
        "server": addresses[0],
        "client": addresses[1],
        "scheme": "http",
        "root_path": server.config.root_path,
        "method": head.method,
        "path": head.path,
        "raw_path": head.raw_path,
        "query_string": head.query,
        "headers": head.headers,
        "state": server.app_state.copy(),
    }
    request = HttpRequest(
        scope=scope,
        transport=transport,
        flow=flow,
        logger=LOGGER,
        access_logger=LOGGER,
        access_log=False,
        default_headers=server.state.default_headers,
        message_event=asyncio.Event(),
        expect_100_continue=head.expects_continue,
        keep_alive=head.keeps_alive,
        on_response=on_answered,
    )
    scope["extensions"] = {EXTENSION: request.until_lost}
    return request


def mute_strangers() -> None:
    """Keep strangers from filling our output: see MUTED."""
    LOGGER.addFilter(lambda record: record.msg != MUTED)
