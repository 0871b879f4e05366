"""HTTP/1.1 on one connection: one request at a time, and everything that comes within bounds.

The only file that depends on uvicorn's internals, but for http_request.py (decision 45).
"""

from __future__ import annotations

import asyncio
from functools import partial
from typing import Any, cast

from uvicorn.config import Config
from uvicorn.protocols.http.flow_control import HIGH_WATER_LIMIT, FlowControl
from uvicorn.protocols.utils import get_local_addr, get_remote_addr
from uvicorn.server import ServerState

from ..api.http_errors import MalformedHttp, RequestTimeout, TooLarge, TooManyConnections
from ..errors import AppError, ClientGone
from ..limits.networks import network_of
from .connections import Connections
from .deadlines import Phase, Waiting
from .early_refusals import refusal
from .health_desk import HEALTH
from .http_parser import Head, MessageParser
from .http_request import HttpRequest, ServerParts
from .incoming import Incoming
from .peek import has_left, has_sent, write_last
from .silence import Silence


class HttpProtocol(asyncio.Protocol):
    """What follows a request is parsed after its answer."""

    def __init__(
        self,
        connections: Connections,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        self._connections, self._bounds = connections, connections.bounds
        self._server = ServerParts(config, server_state, app_state)
        self._loop = _loop or asyncio.get_running_loop()
        self.waiting, self._silence = Waiting(self._loop.time), Silence(self._loop)
        self.network = self._address = "unknown"
        self._is_guest = self._has_ended_sending = False
        self._parser: MessageParser | None = None  # many connections never send a head
        self._request: HttpRequest | None = None  # the one being answered, or else the last one
        self._incoming, self._ignored = Incoming(connections), 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._flow, self.has_sent = FlowControl(self._transport), partial(has_sent, self._transport)
        self._addresses = get_local_addr(self._transport), get_remote_addr(self._transport)
        if client := self._addresses[1]:
            self._address, self.network = client[0], network_of(client[0])
        self._server.state.connections.add(cast(Any, self))
        self._is_guest = not self._connections.admit(self, self._address)

    def connection_lost(self, exc: Exception | None) -> None:
        self._server.state.connections.discard(cast(Any, self))
        self._connections.remove(self)
        self._silence.end()
        if not self._incoming.is_empty:
            self._connections.count(ClientGone.code, self._address)
        self._end_reading()
        if self._request is not None:
            self._request.lose()
        self._flow.resume_writing()

    def data_received(self, data: bytes) -> None:
        self._silence.interrupt(self.waiting.hear())
        if self.waiting.phase is not Phase.OVER:
            self._take(data)
            return
        self._ignored += len(data)
        if self._ignored > self._bounds.ignored_bytes:
            self._transport.abort()

    def eof_received(self) -> bool:
        """Whether to go on, because the caller still reads: a close ends their sending, too.

        Who waits for the answer ends it with the request (`nc -N`); who gives up does so later.
        """
        request = self._request
        if self.waiting.phase not in (Phase.ANSWER, Phase.OVER) or request is None or request.response_complete:
            return False
        if not self._has_ended_sending and (self._silence.is_long or request.response_started):
            return False  # the caller has already read some of the answer
        self._has_ended_sending = True
        self._end_with(request)
        return True

    def pause_writing(self) -> None:
        self._flow.pause_writing()
        self._connections.wait_for_reader(self)

    def resume_writing(self) -> None:
        self.waiting.last_read = self._loop.time()
        self._flow.resume_writing()
        self._connections.go_on(self)

    def _take(self, data: bytes, at: int = 0) -> None:
        try:
            while at < len(data) and (phase := self.waiting.phase) is not Phase.OVER:
                if phase is Phase.ANSWER:
                    if not self._incoming.hold(data, at):
                        self._flow.pause_reading()  # `look` notices if the caller disconnects
                    return
                at = self._take_body(data, at) if phase is Phase.BODY else self._take_head(data, at)
        except AppError as error:
            self._refuse(error)
        if self._has_ended_sending and self._request is not None:
            self._end_with(self._request)

    def _take_head(self, data: bytes, at: int) -> int:
        """Begin a request once its head is whole; where that ends in *data*. Raises AppError."""
        head, end = self._incoming.collect(data, at)
        if head is not None:
            self._parser = self._parser or MessageParser(self._bounds)
            self._begin(self._parser, self._parser.read_head(head), end == len(data))
        elif self.waiting.phase is not Phase.HEAD and not self._incoming.is_empty:
            self.waiting.enter(Phase.HEAD)
        return end

    def _begin(self, parser: MessageParser, head: Head, is_alone: bool) -> None:
        if self._is_guest and head.path not in HEALTH:
            self._refuse(TooManyConnections(), head)
            return
        self._connections.begin(self)
        is_last = self._is_guest or self._connections.is_stopping or not head.keeps_alive
        if is_alone and parser.is_whole and self._connections.health.answers(head, self._transport, self._server, is_last):
            (self.drop if is_last else self._rest)()
            return
        request = HttpRequest(head, self._server, self._transport, self._flow, self._addresses, self._on_answered)
        before, self._request = self._request, request
        request.keep_alive, self.waiting.body_bytes = not is_last, 0
        self.waiting.enter(Phase.BODY)
        if parser.is_whole:
            self._end_body(request)
        self._connections.turns.begin(request, before)

    def _take_body(self, data: bytes, at: int) -> int:
        parser, request = cast(MessageParser, self._parser), cast(HttpRequest, self._request)
        try:
            body, end = parser.read_body(data, at)
        except (MalformedHttp, TooLarge) as error:
            self._fail(request, error)
            return len(data)
        self.waiting.body_bytes += len(body)
        if body and not request.response_complete:
            request.add(body)
            if len(request.body) > HIGH_WATER_LIMIT and not parser.is_whole:
                self._flow.pause_reading()
        if parser.is_whole:
            self._end_body(request)
            if parser.is_rest_lost:
                request.keep_alive = False
                self._end_reading()
        return end

    def _end_body(self, request: HttpRequest) -> None:
        request.end_body()
        self.waiting.enter(Phase.ANSWER)
        if request.response_complete:
            self._rest()

    def _end_reading(self) -> None:
        self.waiting.enter(Phase.OVER)
        self._incoming.clear()

    def _on_answered(self) -> None:
        if self._transport.is_closing():
            return
        self._flow.resume_reading()
        if self.waiting.phase is Phase.ANSWER:
            self._rest()
        elif self._request is not None and self._request.is_early:
            self._end_reading()
        elif self.waiting.phase is Phase.OVER:
            self._transport.close()

    def _end_with(self, request: HttpRequest) -> None:
        """The caller sends no more: end the connection with the last whole request."""
        if request.response_complete or self.waiting.phase is Phase.BODY:
            self._transport.close()
        elif self._incoming.is_empty:
            request.keep_alive = False

    def _rest(self) -> None:  # and go on with the next request
        self.waiting.enter(Phase.IDLE)
        self._connections.rest(self)
        self._take(*self._incoming.take())

    def _refuse(self, error: AppError, head: Head | None = None) -> None:
        """Answer what is no request, and end the connection: after an answer that is under way."""
        self._connections.count(error.code, self._address)
        self._end_reading()
        if self._request and not self._request.response_complete:
            self._request.keep_alive = False
            return
        self._transport.write(refusal(error, head, with_body=not self._incoming.asks_head))
        self._transport.write_eof()  # a close with unread bytes would be a reset, which discards the answer

    def _fail(self, request: HttpRequest, error: AppError) -> None:
        request.fail(error)
        self._end_reading()
        if request.response_complete:
            self._transport.close()

    @property
    def unread_bytes(self) -> int:
        return self._transport.get_write_buffer_size()

    def give_up(self) -> None:
        self._connections.count("answer_unread", self._address)
        self._transport.abort()

    def drop(self, error: AppError | None = None) -> None:
        if error and not self._request and self.waiting.phase is not Phase.OVER:
            write_last(self._transport, refusal(error))
        self._end_reading()
        self._transport.close()

    def look(self, now: float) -> None:
        waiting, request, is_stopping = self.waiting, self._request, self._connections.is_stopping
        if waiting.is_unread(now, self.unread_bytes, self._bounds, is_stopping):
            self.give_up()
        elif waiting.phase in (Phase.ANSWER, Phase.OVER) and request and not request.response_complete:
            if self._flow.read_paused and has_left(self._transport):
                self._transport.abort()
        elif not self._flow.read_paused and waiting.is_overdue(now, self._bounds, request, is_stopping):
            self._end_overdue(request)

    def _end_overdue(self, request: HttpRequest | None) -> None:
        if self.waiting.phase is Phase.HEAD:
            self._refuse(RequestTimeout())
        elif self.waiting.phase is Phase.BODY and request is not None:
            self._fail(request, RequestTimeout())
        else:
            self._transport.close()

    def shutdown(self) -> None:  # by uvicorn, when the service stops
        self._connections.stop()
        if self._request is not None and not self._request.response_complete:
            self._request.keep_alive = False
            self.look(self._loop.time())  # an unread answer is given up at once
        else:
            self._connections.end_when_quiet(self)
