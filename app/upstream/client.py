"""POSTs to a server that speaks a known protocol: exact bytes out, checked answers back."""

from __future__ import annotations

import re
from collections.abc import Mapping
from hashlib import sha256
from typing import Any

from ..catalogue.models import Server
from ..catalogue.values import is_key, server_address
from ..errors import ConfigError, UpstreamError
from .answer import Answer
from .answer_memory import AnswerMemory
from .attempts import Attempts
from .body import Body
from .bounds import MAX_ERROR_BYTES, MAX_RESPONSE_BYTES, MAX_STREAM_BYTES, STEP_BYTES
from .completion import Reply
from .connection import CONNECTION_FAULTS, error_of_fault
from .errors import ProtocolNotServed, Reading, error_of_status, is_not_served, log_upstream, unusable
from .event_source import EVENT_STREAM, EventSource
from .fair_slots import FairSlots
from .model_server import NO_HEADERS
from .pool import CONNECTIONS, Pool
from .protocol.endpoint import Endpoint
from .protocol.plain_answer import read_plain
from .resilience.bearable import BearableSlots
from .resilience.breaker import Breaker
from .turns import Turns, is_heavy, verify_pieces

OPENAI_URL = "https://api.openai.com/v1"
ANTHROPIC_HOST = "api.anthropic.com"
MIN_SECRET = 8
NEWER_NAME = "max_completion_tokens"
FIRST_BYTES = 64 * 1024
"""Of a plain answer. With so many, or its end, its reader is woken; nearly all are smaller."""
_HEADER = re.compile(r"[\w-]+: [\x20-\x7e]*\r\n", re.ASCII)


class Upstream:
    """See `ModelServer`. Our settings alone decide where questions go.

    So redirects and cookies are ignored, and the environment's proxies are not asked for.
    There is no timeout in here: callers set one around the whole call.
    """

    def __init__(
        self,
        server: Server,
        turns: Turns | None = None,
        *,
        max_response_bytes: int = MAX_RESPONSE_BYTES,
        slots: int = CONNECTIONS,
        breaker: Breaker | None = None,
    ) -> None:
        """Raises ConfigError.

        *turns*: those of the worker; else of this server alone. *slots*: calls at one time.
        OpenAI and Azure honour `max_completion_tokens` alone: their newer models refuse the older
        name.
        """
        if not is_key(server.api_key):
            raise ConfigError("OPENAI_API_KEY takes visible ASCII characters only.")
        try:
            base = server_address(server.base_url or OPENAI_URL)
        except ValueError:
            raise ConfigError("OPENAI_BASE_URL takes http(s)://host/path, without a user; the key is OPENAI_API_KEY.") from None
        self.address = base.url
        self._max_bytes = max_response_bytes
        self.name = server.name
        self.retries_idle_close = server.retry_idle_close
        self.stream_usage = server.stream_usage
        self.protocols, self.params = server.protocols, server.params
        is_openai = base.host == "openai.com" or base.host.endswith((".openai.com", ".azure.com"))
        self._key = server.api_key.encode()
        self.token_param = server.token_param or (NEWER_NAME if is_openai else None)
        by_key = server.auth == "x-api-key" or (server.auth is None and base.host == ANTHROPIC_HOST)
        key = f"{'x-api-key: ' if by_key else 'Authorization: Bearer '}{server.api_key}\r\n" if server.api_key else ""
        self._before_path = f"POST {base.path}".encode()
        self._behind_path = (
            f"{base.query} HTTP/1.1\r\nHost: {base.host_header}\r\nAccept-Encoding: identity\r\n"
            f"Content-Type: application/json\r\nUser-Agent: secure-ai-assistant\r\n{key}"
        ).encode()
        self.slots: FairSlots = BearableSlots(slots)
        self.breaker = breaker or Breaker(server.name)
        self.turns = turns or Turns()
        self._pool = Pool(base.host, base.port, is_tls=base.is_tls)

    def serves(self, endpoint: Endpoint) -> bool:
        return self.protocols is None or endpoint.protocol in self.protocols

    def verify(self, members: Mapping[str, Any], model: str) -> None:
        """It is handed over as it is."""

    def digests(self, body: bytes) -> dict[str, str | None]:
        return {"upstream_sha256": sha256(body).hexdigest()}

    async def complete(
        self,
        endpoint: Endpoint,
        body: bytes,
        model: str,
        *,
        wants_text: bool = False,
        attempts: Attempts | None = None,
        headers: Mapping[str, str] = NO_HEADERS,
        memory: AnswerMemory | None = None,
        is_fresh: bool = False,
    ) -> Reply:
        attempts = attempts or Attempts()
        answer = await self._send(endpoint, body, headers, attempts, is_fresh=is_fresh)
        received = Body(answer, attempts, self._max_bytes)
        try:
            raw = await received.read_all(memory)
        finally:
            answer.release()
        if not is_heavy(raw):
            return self._read(endpoint, received, raw, model, attempts, wants_text)
        return await self.turns.work(self._read, endpoint, received, raw, model, attempts, wants_text)

    def _read(self, endpoint: Endpoint, received: Body, raw: bytes, model: str, attempts: Attempts, wants_text: bool) -> Reply:
        if received.is_too_long:
            raise unusable(b"", f"answer of more than {self._max_bytes} bytes")
        if len(raw) > STEP_BYTES:
            verify_pieces(raw)
        if not received.is_decoded:
            attempts.now.whole = raw
        with Reading(raw, coding=received.unread_coding):
            return read_plain(endpoint, raw, model, wants_text=wants_text, charset=received.charset)

    async def open_stream(
        self,
        endpoint: Endpoint,
        body: bytes,
        attempts: Attempts | None = None,
        headers: Mapping[str, str] = NO_HEADERS,
        *,
        is_fresh: bool = False,
    ) -> EventSource:
        attempts = attempts or Attempts()
        answer = await self._send(endpoint, body, headers, attempts, is_stream=True, is_fresh=is_fresh)
        source = EventSource(answer, Body(answer, attempts, MAX_STREAM_BYTES), self.turns)
        try:
            if answer.header(b"content-type").partition(";")[0].strip().lower() != EVENT_STREAM:
                await source.verify_beginning()
        except BaseException:
            source.close()
            raise
        return source

    async def aclose(self) -> None:
        self.breaker.close()
        await self._pool.aclose()

    async def _send(
        self,
        endpoint: Endpoint,
        body: bytes,
        headers: Mapping[str, str],
        attempts: Attempts,
        *,
        is_stream: bool = False,
        is_fresh: bool = False,
    ) -> Answer:
        """The answer, with its head and, of a plain one, FIRST_BYTES. Its status is a 2xx."""
        if attempts.headers:
            headers = {**headers, **attempts.headers}
        head = self._head(endpoint.path, EVENT_STREAM if is_stream else "application/json", headers, len(body))
        wanted = 0 if is_stream else FIRST_BYTES
        try:
            answer = await self._ask(head, body, wanted, attempts, is_fresh=is_fresh)
        except CONNECTION_FAULTS as fault:
            raise error_of_fault(fault, attempts.now) from None
        if not 200 <= answer.status < 300:
            raise await self._refusal(endpoint, answer, attempts, body)
        return answer

    async def _ask(self, head: bytes, body: bytes, wanted: int, attempts: Attempts, *, is_fresh: bool) -> Answer:
        head = b"%bConnection: close\r\n\r\n" % head if is_fresh else b"%b\r\n" % head
        answer = await self._pool.ask((head, body), is_fresh=is_fresh)
        attempts.now.is_sent = True
        try:
            await answer.begin(wanted)
            attempts.begin_answer(answer.status)
        except BaseException:  # cancelled; or nothing came, and the connection is closed
            if answer.has_begun:
                attempts.begin_answer(answer.status)
                attempts.add(answer.take())
            answer.release()
            raise
        return answer

    def _head(self, path: str, accepted: str, headers: Mapping[str, str], length: int) -> bytes:
        """But for the blank line at its end."""
        more = [f"{name}: {value}\r\n" for name, value in headers.items()]
        if not all(map(_HEADER.fullmatch, more)):
            raise ValueError("A header would be split, or is not ASCII.")
        lines = f"Accept: {accepted}\r\n{''.join(more)}Content-Length: {length}\r\n"
        return b"%b%b%b%b" % (self._before_path, path.encode(), self._behind_path, lines.encode())

    async def _refusal(self, endpoint: Endpoint, answer: Answer, attempts: Attempts, sent: bytes) -> UpstreamError:
        try:
            raw = await Body(answer, attempts, MAX_ERROR_BYTES).read_all()
        finally:
            answer.release()
        if len(self._key) >= MIN_SECRET:  # a shorter one is no secret, and may be part of a word
            raw = raw.replace(self._key, b"")
        log_upstream(f"status {answer.status}", raw, sent)
        if self.protocols is None and answer.status == 404 and is_not_served(endpoint.protocol, raw):
            return ProtocolNotServed()
        attempts.now.retry_after = told = answer.header(b"retry-after")
        return error_of_status(answer.status, raw, told, sent)
