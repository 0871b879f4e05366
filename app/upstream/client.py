"""POSTs to a server that speaks a known protocol: exact bytes out, checked answers back."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

import aiohttp
from yarl import URL

from ..catalogue.models import Server
from ..catalogue.values import is_key
from ..errors import ConfigError, UpstreamError
from .answer_memory import AnswerMemory
from .attempts import Attempts
from .body import Body
from .bounds import MAX_ERROR_BYTES, MAX_RESPONSE_BYTES, MAX_STREAM_BYTES, STEP_BYTES
from .completion import Reply
from .connection import CONNECTION_FAULTS, CONNECTIONS, IdleClosed, error_of_fault, open_session
from .errors import ProtocolNotServed, Reading, error_of_status, is_not_served, log_upstream, unusable
from .event_source import EVENT_STREAM, EventSource
from .fair_slots import FairSlots
from .protocol.endpoint import Endpoint
from .protocol.plain_answer import read_plain
from .turns import Turns, is_heavy, verify_pieces

OPENAI_URL = "https://api.openai.com/v1"
ANTHROPIC_HOST = "api.anthropic.com"
IDLE_CLOSE = "idle_close"
MIN_SECRET = 8
NEWER_NAME = "max_completion_tokens"
NO_HEADERS: Mapping[str, str] = MappingProxyType({})


class Upstream:
    """One server. Our settings alone decide where questions go.

    So redirects are ignored, as are cookies and the environment's proxies (`open_session`).
    There is no timeout in here: callers set one around the whole call.
    """

    def __init__(
        self,
        server: Server,
        turns: Turns | None = None,
        *,
        max_response_bytes: int = MAX_RESPONSE_BYTES,
        slots: int = CONNECTIONS,
    ) -> None:
        """Raises ConfigError.

        *turns*: those of the worker; else of this server alone. *slots*: calls at one time.
        `retry_idle_close` asks once more on a new connection where one that had been idle is closed
        within a second of sending, before a byte of the answer. OpenAI and Azure honour
        `max_completion_tokens` alone: their newer models refuse the older name.
        """
        if not is_key(server.api_key):
            raise ConfigError("OPENAI_API_KEY takes visible ASCII characters only.")
        self._base = _base_url(server.base_url or OPENAI_URL)
        self.address = str(self._base)
        self._urls: dict[str, URL] = {}
        self._max_bytes = max_response_bytes
        self._retry_idle_close = server.retry_idle_close
        self.stream_usage = server.stream_usage
        self.protocols = server.protocols
        host = self._base.host or ""
        is_openai = host == "openai.com" or host.endswith((".openai.com", ".azure.com"))
        self._key = server.api_key.encode()
        self.token_param = server.token_param or (NEWER_NAME if is_openai else None)
        self._headers = {"Accept-Encoding": "identity", "Content-Type": "application/json"}
        if key := server.api_key:
            by_key = server.auth == "x-api-key" or (server.auth is None and self._base.host == ANTHROPIC_HOST)
            self._headers |= {"x-api-key": key} if by_key else {"Authorization": f"Bearer {key}"}
        self.slots = FairSlots(slots)
        self.turns = turns or Turns()
        self._sessions: dict[bool, aiohttp.ClientSession] = {}  # by whether each request has a new connection

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
    ) -> Reply:
        """Send exactly *body*, and read the whole answer. *model* names it if the server does not.

        A large one is read once there is *memory* for it (Overloaded, Interrupted).

        Any 2xx status will do. *attempts* follows what is sent and received, also where this
        raises: UpstreamUnavailable (with retry_after) if the server cannot be reached, closes the
        connection early, or answers 408, 425, 429 or 5xx; UpstreamRefused for a request that it
        does not take; UpstreamDenied, UpstreamOutOfQuota; UpstreamError for an answer that cannot
        be used. The server may have generated an answer in any of these cases.
        """
        attempts = attempts or Attempts()
        response = await self._send(endpoint, body, {"Accept": "application/json", **headers}, attempts)
        received = Body(response, attempts, self._max_bytes)
        async with response:
            raw = await received.read_all(memory)
        if not is_heavy(raw):
            return self._read(endpoint, received, raw, model, attempts, wants_text)
        return await self.turns.work(self._read, endpoint, received, raw, model, attempts, wants_text)

    def _read(self, endpoint: Endpoint, received: Body, raw: bytes, model: str, attempts: Attempts, wants_text: bool) -> Reply:
        if received.is_too_long:
            raise unusable(b"", f"answer of more than {self._max_bytes} bytes")
        if len(raw) > STEP_BYTES:
            verify_pieces(raw)
        if not received.is_decoded:
            attempts.whole = raw
        with Reading(raw, coding=received.unread_coding):
            return read_plain(endpoint, raw, model, wants_text=wants_text, charset=received.charset)

    async def open_stream(
        self, endpoint: Endpoint, body: bytes, attempts: Attempts | None = None, headers: Mapping[str, str] = NO_HEADERS
    ) -> EventSource:
        """Send a body that asks for server-sent events; returns once the answer has begun.

        Raises as `complete`. The result must be closed or finished.
        """
        attempts = attempts or Attempts()
        response = await self._send(endpoint, body, {"Accept": EVENT_STREAM, **headers}, attempts)
        source = EventSource(response, Body(response, attempts, MAX_STREAM_BYTES), self.turns)
        try:
            if response.content_type != EVENT_STREAM:
                await source.verify_beginning()
        except BaseException:
            source.close()
            raise
        return source

    async def aclose(self) -> None:
        while self._sessions:
            await self._sessions.popitem()[1].close()

    async def _send(
        self, endpoint: Endpoint, body: bytes, headers: Mapping[str, str], attempts: Attempts
    ) -> aiohttp.ClientResponse:
        """The answer's head. Its status is a 2xx."""
        try:
            try:
                response = await self._post(endpoint.path, body, headers)
            except IdleClosed:
                if not self._retry_idle_close:
                    raise
                attempts.retry(IDLE_CLOSE)
                response = await self._post(endpoint.path, body, headers, is_fresh=True)
        except CONNECTION_FAULTS as fault:
            raise error_of_fault(fault) from None
        attempts.begin_answer()
        if not 200 <= response.status < 300:
            raise await self._refusal(endpoint, response, attempts, body)
        return response

    async def _post(
        self, path: str, body: bytes, headers: Mapping[str, str], *, is_fresh: bool = False
    ) -> aiohttp.ClientResponse:
        url = self._urls.get(path) or self._urls.setdefault(path, _join(self._base, path))
        session = self._sessions.get(is_fresh)
        if session is None:
            session = open_session(self._headers, is_tls=self._base.scheme == "https", is_fresh=is_fresh)
            self._sessions[is_fresh] = session
        return await session.post(url, data=body, headers=headers, allow_redirects=False)

    async def _refusal(
        self, endpoint: Endpoint, response: aiohttp.ClientResponse, attempts: Attempts, sent: bytes
    ) -> UpstreamError:
        async with response:
            raw = await Body(response, attempts, MAX_ERROR_BYTES).read_all()
        if len(self._key) >= MIN_SECRET:  # a shorter one is no secret, and may be part of a word
            raw = raw.replace(self._key, b"")
        log_upstream(f"status {response.status}", raw, sent)
        if self.protocols is None and response.status == 404 and is_not_served(endpoint.protocol, raw):
            return ProtocolNotServed()
        return error_of_status(response.status, raw, response.headers.get("Retry-After"), sent)


def _base_url(base_url: str) -> URL:
    try:
        url = _join(URL(base_url), "")
    except ValueError:
        raise ConfigError("OPENAI_BASE_URL is not an address such as http://127.0.0.1:11434/v1.") from None
    if url.scheme not in ("http", "https") or not url.host or url.user or url.password:
        raise ConfigError("OPENAI_BASE_URL takes http(s)://host/path, without a user; the key is OPENAI_API_KEY.")
    return url


def _join(base: URL, path: str) -> URL:
    return base.with_path(base.raw_path.rstrip("/") + path, encoded=True, keep_query=True)
