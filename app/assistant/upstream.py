"""One POST to a server that speaks the OpenAI protocol: exact bytes out, a checked document back, our errors only."""

from __future__ import annotations

import json
import logging
import re
import ssl
from typing import Any, cast

import aiohttp
import certifi
import orjson
from yarl import URL

from ..errors import ConfigError, UpstreamError, UpstreamUnavailable
from .models import Completion, Usage

OPENAI_URL = "https://api.openai.com/v1"
DEFAULT_RETRY_AFTER = 2.0  # seconds, where the server named none
MAX_RETRY_AFTER = 120.0  # what OpenAI's own SDKs honour
FINAL_CODES = frozenset({"insufficient_quota", "billing_hard_limit_reached", "billing_not_active"})
"""A 429 with one of these stays a 429 until somebody pays."""

_CONNECTIONS = 512
_ERROR_BYTES = 64 * 1024
_LOGGED_CHARACTERS = 500
_LOG = logging.getLogger("app.assistant")


class Upstream:
    """Where the questions go is decided by our settings alone.

    So `trust_env` is off: with it aiohttp would read `HTTP_PROXY` and `~/.netrc` and hand prompts or another
    password to whom they name. Redirects are not followed and cookies not kept, for the same reason. No deadline
    stands in here: the caller has one around the whole call.
    """

    def __init__(self, *, api_key: str, base_url: str | None, max_response_bytes: int) -> None:
        """*base_url* ends before `/chat/completions`; None is OpenAI. Raises ConfigError."""
        if not re.fullmatch(r"[\x21-\x7e]*", api_key):
            raise ConfigError("OPENAI_API_KEY takes visible ASCII characters only.")
        self._url = _endpoint(base_url or OPENAI_URL)
        self._key = api_key
        self._max_bytes = max_response_bytes
        self._headers = {
            "Accept": "application/json",
            "Accept-Encoding": "identity",
            "Content-Type": "application/json",
        }
        if api_key:
            self._headers["Authorization"] = f"Bearer {api_key}"
        self._session: aiohttp.ClientSession | None = None

    @property
    def wants_max_completion_tokens(self) -> bool:
        """The name of the cap on tokens that this server honours.

        OpenAI's newer models refuse `max_tokens`; every other server knows it, while Ollama, LM Studio and llama.cpp
        before 2026 silently ignore `max_completion_tokens` and generate without end, and Mistral refuses it.
        """
        host = self._url.host or ""
        return host == "openai.com" or host.endswith((".openai.com", ".azure.com"))

    async def complete(self, body: bytes, model: str) -> tuple[Completion, dict[str, Any]]:
        """Send exactly *body*; the completion, and the document it came from. *model* is its name if the server has none.

        Raises UpstreamUnavailable (with retry_after) if the server cannot be reached, hangs up, or says 408, 429 or 5xx;
        UpstreamError for anything else that is not a usable completion. Then nothing is known of what was generated.
        """
        try:
            async with self._open_session().post(self._url, data=body, allow_redirects=False) as response:
                if response.status != 200:
                    raise self._refused(response, await _read(response, _ERROR_BYTES), body)
                raw = await _read(response, self._max_bytes + 1)
        except (aiohttp.ClientSSLError, aiohttp.ClientConnectorCertificateError) as error:
            raise self._unusable(f"TLS failed: {error}".encode(), body) from None
        except (aiohttp.ClientConnectionError, aiohttp.ClientPayloadError, OSError) as error:
            self._log("no answer", repr(error).encode(), body)
            raise UpstreamUnavailable(retry_after=DEFAULT_RETRY_AFTER) from None
        except aiohttp.ClientError as error:  # not HTTP
            raise self._unusable(f"{type(error).__name__}: {getattr(error, 'message', '')}".encode(), body) from None
        if len(raw) > self._max_bytes:
            raise self._unusable(b"more than %d bytes" % self._max_bytes, body)
        try:
            document = orjson.loads(raw)  # refuses invalid UTF-8, lone surrogates, NaN and deep nesting
            return read_completion(document, model), document
        except (ValueError, TypeError, LookupError, AttributeError):
            raise self._unusable(raw, body) from None

    async def aclose(self) -> None:
        session, self._session = self._session, None
        if session is not None:
            await session.close()

    def _open_session(self) -> aiohttp.ClientSession:
        if self._session is None:
            tls = ssl.create_default_context() if self._url.scheme == "https" else None
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

    def _refused(self, response: aiohttp.ClientResponse, raw: bytes, body: bytes) -> UpstreamError:
        status = response.status
        self._log(f"status {status}", raw, body)
        if status in (408, 429) or status >= 500:
            retry_after = _retry_after(response.headers.get("Retry-After"))
            return UpstreamError() if status == 429 and _is_final(raw) else UpstreamUnavailable(retry_after=retry_after)
        return UpstreamError()

    def _unusable(self, raw: bytes, body: bytes) -> UpstreamError:
        self._log("unusable answer", raw, body)
        return UpstreamError()

    def _log(self, what: str, raw: bytes, body: bytes) -> None:
        """The server's text, for the operator: one bounded line, without our key and without the messages we sent."""
        text = raw[:_ERROR_BYTES].decode("utf-8", "replace")
        for secret, name in [(self._key, "[key]"), *((text_, "[message]") for text_ in _texts(body))]:
            for form in {secret, json.dumps(secret)[1:-1], json.dumps(secret, ensure_ascii=False)[1:-1]} - {""}:
                text = text.replace(form, name)
        line = text[:_LOGGED_CHARACTERS].encode("unicode_escape").decode("ascii")
        _LOG.warning("upstream %s: %s", what, line[:_LOGGED_CHARACTERS])


def read_completion(document: Any, model: str) -> Completion:
    """The first choice. Raises ValueError, TypeError, LookupError or AttributeError for what is not a chat completion."""
    text = document["choices"][0]["message"]["content"]
    named = document.get("model") or model
    if not isinstance(text, str) or not isinstance(named, str) or len(named) > 500:
        raise TypeError
    if named.startswith("/"):  # llama.cpp names its file, and a path of that machine is no business of the caller's
        named = model
    return Completion(text, named, _usage(document.get("usage")))


def _usage(counted: Any) -> Usage | None:
    if counted is None or counted.get("prompt_tokens") is None or counted.get("completion_tokens") is None:
        return None
    tokens = counted["prompt_tokens"], counted["completion_tokens"]
    if any(type(count) is not int or count < 0 for count in tokens):
        raise TypeError
    return Usage(*tokens)


def _endpoint(base_url: str) -> URL:
    try:
        base = URL(base_url)
        url = base.with_path(base.raw_path.rstrip("/") + "/chat/completions", encoded=True, keep_query=True)
    except ValueError:
        raise ConfigError("OPENAI_BASE_URL is not an address such as http://127.0.0.1:11434/v1.") from None
    if url.scheme not in ("http", "https") or not url.host or url.user or url.password:
        raise ConfigError("OPENAI_BASE_URL takes http(s)://host/path, without a user; the key is OPENAI_API_KEY.")
    return url


async def _read(response: aiohttp.ClientResponse, limit: int) -> bytes:
    """At least *limit* bytes of a longer body, whose connection is then closed unread; else all of it."""
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


def _is_final(raw: bytes) -> bool:
    try:
        error = orjson.loads(raw)["error"]
        return not FINAL_CODES.isdisjoint((error.get("code"), error.get("type")))
    except (ValueError, TypeError, LookupError, AttributeError):
        return False


def _retry_after(value: str | None) -> float:
    """Whole or decimal seconds within our bounds; a date (RFC 9110, 10.2.3) counts as not named."""
    if value is None or not re.fullmatch(r"[0-9]{1,9}(\.[0-9]{1,9})?", value):
        return DEFAULT_RETRY_AFTER
    return min(max(float(value), 1.0), MAX_RETRY_AFTER)


def _texts(body: bytes) -> list[str]:
    """What we sent, longest first; short texts are left out, since they would blot out ordinary words."""
    messages = cast("list[dict[str, str]]", orjson.loads(body)["messages"])
    return sorted((m["content"] for m in messages if len(m["content"]) >= 8), key=len, reverse=True)
