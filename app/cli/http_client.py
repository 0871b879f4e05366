"""HTTP calls to a running service, for `token`, `ask` and `demo`."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from types import MappingProxyType
from typing import Any

import httpx

from ..errors import AppError, UpstreamError
from ..kit.command import command
from ..kit.event_stream import Event, EventParser
from .output import service_at, unusable_in

TIMEOUT_SECONDS = 3660.0
"""Longer than the service itself may wait for its model."""
MAX_EVENT_BYTES = 64 << 20
NEEDS_URL = "--url takes an address that begins with http:// or https://, such as http://127.0.0.1:8000."


class CallFailed(AppError):
    """The service refused the call or cannot be reached.

    *status* and *answer* are those of the refusal: None without one.
    """

    code = "call_failed"

    def __init__(self, detail: str, *, status: int | None = None, answer: dict[str, Any] | None = None) -> None:
        super().__init__(detail)
        self.status = status
        self.answer = answer


def fetch_token(url: str, client_id: str, client_secret: str, scope: str | None = None) -> dict[str, Any]:
    """The token response (RFC 6749, section 5.1). Raises CallFailed."""
    form = {"grant_type": "client_credentials", **({"scope": scope} if scope else {})}
    with _reaching(url):
        response = httpx.post(_address(url, "/token"), data=form, auth=httpx.BasicAuth(client_id, client_secret))
    answer = _document(response)
    if name := unusable_in(answer):
        raise CallFailed(f"{response.url} answered without a usable {name}. Is it this service?")
    return answer


def ask(url: str, token: str, query: str) -> dict[str, Any]:
    """The answer of POST /ask. Raises CallFailed."""
    with _reaching(url):
        response = httpx.post(_address(url, "/ask"), json={"query": query}, headers=bearer(token), timeout=TIMEOUT_SECONDS)
    return _document(response)


def stream(url: str, token: str, query: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """The named events of POST /ask: `delta` with a piece of the text, then `done` with all else.

    Raises CallFailed.
    """
    name = ""
    for event in post_stream(url, "/ask", token, {"query": query}):
        name, data = event.name.decode("utf-8", "replace"), _object(event.data)
        if data is None:
            raise CallFailed(f"{url} sent an event that is not a JSON object.")
        if name == "error":
            raise _refusal(data.get("status"), data)
        yield name, data
    if name != "done":
        raise CallFailed("The answer broke off before its end: it has no receipt.")


def post_stream(url: str, path: str, token: str, body: dict[str, Any]) -> Iterator[Event]:
    """The server-sent events that answer *body*, each as soon as it is whole. Raises CallFailed."""
    headers = {**bearer(token), "Accept": "text/event-stream"}
    parser = EventParser(MAX_EVENT_BYTES)
    with _reaching(url):
        with httpx.stream("POST", _address(url, path), json=body, headers=headers, timeout=TIMEOUT_SECONDS) as response:
            if response.status_code != 200:
                response.read()
                _document(response)
            for piece in response.iter_bytes():
                yield from parser.feed(piece)


def bearer(token: str) -> dict[str, str]:
    """The headers that present *token* (RFC 6750, section 2.1)."""
    return {"Authorization": f"Bearer {token}"}


@contextmanager
def _reaching(url: str) -> Iterator[None]:
    try:
        yield
    except (httpx.UnsupportedProtocol, httpx.InvalidURL):
        raise CallFailed(NEEDS_URL) from None
    except httpx.HTTPError as error:
        raise CallFailed(
            f"{url} cannot be reached ({type(error).__name__}). Is the service running? {command('serve')}"
        ) from None
    except UnicodeEncodeError:
        raise CallFailed("A token is plain ASCII, and a question is valid Unicode.") from None
    except UpstreamError:
        raise CallFailed(f"{url} sent an event larger than {MAX_EVENT_BYTES >> 20} MiB.") from None


def _address(url: str, path: str) -> str:
    return service_at(url) + path


def _document(response: httpx.Response) -> dict[str, Any]:
    answer = _object(response.content)
    if answer is None:
        raise CallFailed(f"{response.url} answered {response.status_code}, and not with a JSON object. Is it this service?")
    if response.status_code != 200:
        raise _refusal(response.status_code, answer, response.headers)
    return answer


def _refusal(status: int | None, answer: dict[str, Any], headers: Mapping[str, str] = MappingProxyType({})) -> CallFailed:
    """With what a person needs next: how long to wait, and the request id that finds the record."""
    error = answer.get("error")
    members = {**answer, **error} if isinstance(error, dict) else answer  # OpenAI's body has them one level down
    words = [members.get(name) for name in ("code", "error", "type", "detail", "error_description", "message")]
    texts = [word if isinstance(word, str) else None for word in words]
    code = next((text for text in texts[:3] if text), "unknown")
    detail = next((text for text in texts[3:] if text), "no reason given")
    wait, request_id = headers.get("retry-after"), answer.get("request_id") or headers.get("x-request-id")
    notes = [note for note in (wait and f"Retry-After: {wait} s", request_id and f"request {request_id}") if note]
    end = f" ({', '.join(notes)})" if notes else ""
    return CallFailed(f"{status} {code}: {detail}{end}", status=status, answer=answer)


def _object(data: bytes) -> dict[str, Any] | None:
    try:
        found = json.loads(data)
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None
