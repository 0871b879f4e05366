"""One request on a connection, as the application receives it, and its answer (ASGI 3)."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Any, NamedTuple

from uvicorn.config import Config
from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.server import ServerState

from ..assistant.disconnect import EXTENSION, Disconnected
from ..errors import AppError
from .http_answer import AnswerWriter
from .http_parser import Head

LOG = logging.getLogger("app.serving")
ABORT_GRACE_SECONDS = 1.0
"""From an answer that was given up to the end of its connection."""
START, BODY = "http.response.start", "http.response.body"


class ServerParts(NamedTuple):
    """What uvicorn gives to each connection."""

    config: Config
    state: ServerState
    app_state: dict[str, Any]


class HttpRequest:
    """Its body may turn out to be none."""

    def __init__(
        self,
        head: Head,
        server: ServerParts,
        transport: asyncio.Transport,
        flow: FlowControl,
        addresses: tuple[Any, Any],
        on_answered: Callable[[], None],
    ) -> None:
        """It is not running yet. *addresses*: ours and the caller's."""
        self.scope: Any = {
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
            "extensions": {EXTENSION: self.until_lost},
        }
        self._transport, self._flow, self._on_answered = transport, flow, on_answered
        self._server = server
        self._writer, self._head = AnswerWriter(head.method, head.version), b""
        self._expects_continue, self.keep_alive = head.expects_continue, head.keeps_alive
        self.body, self.more_body = bytearray(), True
        self.problem: AppError | None = None
        """What ended the body early. Reading the body raises it."""
        self._news = asyncio.Event()  # of what `receive` waits for
        self._lost: Disconnected | None = None
        self.disconnected = self.response_started = self.response_complete = False
        self.is_early = False
        """Whether the answer ends the connection before the whole body has come."""

    def start(self) -> asyncio.Task[None]:
        """Run the application in a task, among those that a stop waits for."""
        tasks = self._server.state.tasks
        task = asyncio.get_running_loop().create_task(self._run(self._server.config.loaded_app))
        task.add_done_callback(tasks.discard)
        tasks.add(task)
        return task

    async def _run(self, app: Any) -> None:
        try:
            await app(self.scope, self.receive, self.send)
        except BaseException as error:  # the application answers its own; nobody is left to be told
            LOG.error("A request failed without an answer.", exc_info=error)
        finally:
            self.scope["extensions"].clear()  # it names this request: without a cycle, it goes at once
            self._on_answered = _nothing
            if not self.response_complete and not self.disconnected:  # given up, or failed half way
                self._write(b"")
                self._transport.close()  # once the caller has read what was sent: they may never
                asyncio.get_running_loop().call_later(ABORT_GRACE_SECONDS, self._transport.abort)

    def add(self, body: bytes) -> None:
        self.body += body
        self._news.set()

    def end_body(self) -> None:
        self.more_body = False
        self._news.set()

    def fail(self, problem: AppError) -> None:
        """The rest of the body does not come, and the answer ends the connection."""
        self.problem, self.keep_alive = problem, False
        self._news.set()

    def lose(self) -> None:
        """The caller has disconnected."""
        self.disconnected = True
        self._news.set()
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
        if self._expects_continue and not self._transport.is_closing():
            self._transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
            self._expects_continue = False
        if not self.disconnected and not self.response_complete and self.problem is None:
            if self.more_body:
                self._flow.resume_reading()
            await self._news.wait()
            self._news.clear()
        if self.problem is not None and not self.disconnected:
            raise self.problem
        if self.disconnected or self.response_complete:
            return {"type": "http.disconnect"}
        body, self.body = bytes(self.body), bytearray()
        return {"type": "http.request", "body": body, "more_body": self.more_body}

    async def send(self, message: Any) -> None:
        """As ASGI says. What a caller who has disconnected would get is dropped."""
        if self._flow.write_paused and not self.disconnected:
            await self._flow.drain()
        if self.disconnected:
            return
        if message["type"] != (BODY if self.response_started else START) or self.response_complete:
            raise RuntimeError(f"The application sent {message['type']} where it has no place.")
        if not self.response_started:
            self.response_started, self._expects_continue = True, False
            headers = [*self._server.state.default_headers, *message["headers"]]
            self._head, self.keep_alive = self._writer.head(message["status"], headers, keeps_alive=self.keep_alive)
            asyncio.get_running_loop().call_soon(self._write, b"")  # nearly always the body comes first: one write for both
            return
        is_last = not message.get("more_body", False)
        self._write(self._writer.body(message.get("body", b""), is_last=is_last))
        if is_last:
            self._end()

    def _write(self, data: bytes) -> None:
        """The head, if it is not written yet, and *data*."""
        head, self._head = self._head, b""
        if head and not self.disconnected:
            self._transport.writelines((head, data))
        elif data:
            self._transport.write(data)

    def _end(self) -> None:
        """After an early answer the connection is closed later, by the protocol.

        A close with a body on its way would be a reset, which discards the answer.
        """
        self.response_complete = True
        self.is_early = self.more_body and not self.keep_alive
        self._news.set()
        if not self.keep_alive and not self.is_early:
            self._transport.close()
        self._on_answered()
        if self.is_early and not self._transport.is_closing():
            self._transport.write_eof()


def _nothing() -> None:
    """In place of the connection, which a request that is over does not hold."""
