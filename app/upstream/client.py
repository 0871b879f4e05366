"""POSTs to a server that speaks the OpenAI protocol: exact bytes out, checked answers back."""

from __future__ import annotations

import asyncio
import ssl
from typing import Any

import aiohttp
import certifi
from yarl import URL

from ..catalogue.values import is_key
from ..errors import ConfigError, UpstreamError, UpstreamUnavailable
from ..kit.event_stream import Event, EventParser
from .completion import Reply
from .errors import DEFAULT_RETRY_AFTER, Reading, error_of_status, log_upstream, unusable
from .protocol.endpoint import Endpoint
from .protocol.plain_answer import read_plain

OPENAI_URL = "https://api.openai.com/v1"
MAX_RESPONSE_BYTES = 32 * 1024 * 1024
"""A thousand embeddings of 1,536 numbers in base64 are 8 MB."""
MAX_CONTAINERS = 1_000_000
"""Lists and objects in one answer. Each takes a microsecond, in which nobody else is served.
An answer of 4,096 tokens with twenty logprobs each has 90,000."""
MAX_EVENT_BYTES = 4 * 1024 * 1024
MAX_STREAM_BYTES = 64 * 1024 * 1024
"""Of one whole stream. A token is about 250 bytes of events."""
STREAM_END_GRACE_SECONDS = 1.0
CONNECTION_FAULTS = (aiohttp.ClientError, OSError)
_CONNECTIONS = 512
_ERROR_BYTES = 64 * 1024


class Upstream:
    """One server. Our settings alone decide where questions go.

    So `trust_env` is off: aiohttp would read `HTTP_PROXY` and `~/.netrc`, and send prompts or
    passwords to servers named there. Redirects and cookies are ignored for the same reason.
    There is no timeout in here: callers set one around the whole call.
    """

    def __init__(
        self, *, api_key: str, base_url: str | None, max_response_bytes: int = MAX_RESPONSE_BYTES, stream_usage: bool = True
    ) -> None:
        """*base_url* ends before `/chat/completions`; None is OpenAI. Raises ConfigError."""
        if not is_key(api_key):
            raise ConfigError("OPENAI_API_KEY takes visible ASCII characters only.")
        self._base = _base_url(base_url or OPENAI_URL)
        self._urls: dict[str, URL] = {}
        self._max_bytes = max_response_bytes
        self.stream_usage = stream_usage
        self._headers = {"Accept-Encoding": "identity", "Content-Type": "application/json"}
        if api_key:
            self._headers["Authorization"] = f"Bearer {api_key}"
        self._session: aiohttp.ClientSession | None = None

    @property
    def wants_max_completion_tokens(self) -> bool:
        """Whether this server's cap on tokens is `max_completion_tokens`, not `max_tokens`.

        OpenAI's newer models refuse `max_tokens`. Every other server knows it. Mistral refuses the
        newer name; Ollama, LM Studio and llama.cpp before 2026 ignore it and generate without end.
        """
        host = self._base.host or ""
        return host == "openai.com" or host.endswith((".openai.com", ".azure.com"))

    async def complete(self, endpoint: Endpoint, body: bytes, model: str, *, wants_text: bool = False) -> Reply:
        """Send exactly *body*, and read the whole answer. *model* names it if the server does not.

        Raises UpstreamUnavailable (with retry_after) if the server cannot be reached, closes the
        connection early, or answers 408, 429 or 5xx; UpstreamRefused for a request that it does not
        take; UpstreamDenied, UpstreamOutOfQuota; UpstreamError for an answer that cannot be used.
        The server may have generated an answer in any of these cases. Nothing is retried here.
        """
        try:
            async with self._post(endpoint.path, body, "application/json") as response:
                if response.status != 200:
                    raise await _refusal(response)
                raw = await _read(response, self._max_bytes + 1)
        except CONNECTION_FAULTS as fault:
            raise error_of_fault(fault) from None
        if len(raw) > self._max_bytes:
            raise unusable(b"", f"answer of more than {self._max_bytes} bytes")
        if len(raw) > MAX_CONTAINERS and raw.count(b"[") + raw.count(b"{") > MAX_CONTAINERS:
            raise unusable(b"", f"answer of more than {MAX_CONTAINERS} lists and objects")
        with Reading(raw):
            return read_plain(endpoint, raw, model, wants_text=wants_text)

    async def open_stream(self, path: str, body: bytes) -> EventSource:
        """Send a body that asks for server-sent events; returns once the answer has begun.

        Raises as `complete`. The result must be closed or finished.
        """
        try:
            response = await self._post(path, body, "text/event-stream")
            try:
                if response.status != 200:
                    raise await _refusal(response)
                if response.content_type != "text/event-stream":
                    raise unusable(b"", "answer that is no stream")
            except BaseException:
                response.close()
                raise
        except CONNECTION_FAULTS as fault:
            raise error_of_fault(fault) from None
        return EventSource(response)

    async def aclose(self) -> None:
        session, self._session = self._session, None
        if session is not None:
            await session.close()

    def _post(self, path: str, body: bytes, accept: str) -> Any:
        url = self._urls.get(path) or self._urls.setdefault(path, _join(self._base, path))
        return self._open_session().post(url, data=body, headers={"Accept": accept}, allow_redirects=False)

    def _open_session(self) -> aiohttp.ClientSession:
        if self._session is None:
            tls = ssl.create_default_context() if self._base.scheme == "https" else None
            if tls is not None:  # a slim container has no certificates of its own
                tls.load_verify_locations(certifi.where())
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=_CONNECTIONS, ssl=True if tls is None else tls),
                cookie_jar=aiohttp.DummyCookieJar(),
                headers=self._headers,
                timeout=aiohttp.ClientTimeout(),
                trust_env=False,
                auto_decompress=False,  # we ask for identity; so a small answer cannot unfold into a large one
            )
        return self._session


class EventSource:
    """An answer that arrives as events. A `read` that is cancelled loses nothing."""

    def __init__(self, response: aiohttp.ClientResponse) -> None:
        self._response, self._content = response, response.content
        self._parser = EventParser(MAX_EVENT_BYTES)
        self._bytes = 0

    async def read(self) -> list[Event] | None:
        """The events that have arrived, at least a piece of one or a comment; None at the end.

        Raises as `Upstream.complete`.
        """
        try:
            piece = await self._content.readany()
        except CONNECTION_FAULTS as fault:
            raise error_of_fault(fault) from None
        if not piece:
            return self._parser.end() or None
        self._bytes += len(piece)
        if self._bytes > MAX_STREAM_BYTES:
            raise unusable(b"", f"stream of more than {MAX_STREAM_BYTES} bytes")
        return self._parser.feed(piece)

    def close(self) -> None:
        """End the call at once: the connection is closed, unless the answer has ended."""
        self._response.release()

    def finish(self) -> None:
        """The answer was read. Its stream ends a moment later; the connection is reusable then."""
        asyncio.get_running_loop().call_later(STREAM_END_GRACE_SECONDS, self._response.release)


def error_of_fault(fault: Exception) -> UpstreamError:
    """Our error for what the connection raised; logs it."""
    if isinstance(fault, aiohttp.ClientSSLError | aiohttp.ClientConnectorCertificateError):
        return unusable(b"", "TLS failure")
    if isinstance(fault, aiohttp.ClientConnectionError | aiohttp.ClientPayloadError | OSError):
        log_upstream(f"connection failure ({type(fault).__name__})", b"")
        return UpstreamUnavailable(retry_after=DEFAULT_RETRY_AFTER)
    return unusable(b"", f"answer that is not HTTP ({type(fault).__name__})")


async def _refusal(response: aiohttp.ClientResponse) -> UpstreamError:
    raw = await _read(response, _ERROR_BYTES)
    log_upstream(f"status {response.status}", raw)
    return error_of_status(response.status, raw, response.headers.get("Retry-After"))


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


async def _read(response: aiohttp.ClientResponse, limit: int) -> bytes:
    """The whole body, or at least its first *limit* bytes; then the connection is closed."""
    chunk = await response.content.readany()
    if response.content.at_eof():  # nearly always: the whole answer came at once
        return chunk
    chunks, size = [chunk], len(chunk)
    while size < limit and (chunk := await response.content.readany()):
        chunks.append(chunk)
        size += len(chunk)
    if size >= limit:
        response.close()
    return b"".join(chunks)
