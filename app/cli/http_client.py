"""The caller's side, for `token` and `ask`: plain HTTP to a service at --url."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx

from ..errors import AppError


class CallFailed(AppError):
    """The service said no, or could not be reached. *answer* is its body, if it was JSON."""

    code = "call_failed"

    def __init__(self, detail: str, answer: dict[str, Any] | None = None) -> None:
        super().__init__(detail)
        self.answer = answer


def fetch_token(url: str, client_id: str, client_secret: str, scope: str | None = None) -> dict[str, Any]:
    """The token response. Raises CallFailed."""
    form = {"grant_type": "client_credentials", **({"scope": scope} if scope else {})}
    return _call(url, "/token", data=form, auth=httpx.BasicAuth(client_id, client_secret))


def ask(url: str, token: str, query: str, timeout_seconds: float = 600) -> dict[str, Any]:
    """The answer. Raises CallFailed."""
    headers = {"Authorization": f"Bearer {token}"}
    return _call(url, "/ask", json={"query": query}, headers=headers, timeout=timeout_seconds)


def stream(url: str, token: str, query: str, timeout_seconds: float = 600) -> Iterator[tuple[str, dict[str, Any]]]:
    """The answer's events as they come: `delta` with its text, then `done` with all else. Raises CallFailed."""
    headers = {"Authorization": f"Bearer {token}", "Accept": "text/event-stream"}
    with _reached(url):
        address = url.rstrip("/") + "/ask"
        with httpx.stream("POST", address, json={"query": query}, headers=headers, timeout=timeout_seconds) as response:
            if response.status_code != 200:
                response.read()
                _answer(url, "/ask", response)
            name = ""
            for line in lines_of(response):
                field, _, value = line.partition(": ")
                if field == "event":
                    name = value
                elif field == "data":
                    data = json.loads(value)
                    if name == "error":
                        raise CallFailed(f"{data['status']} {data['code']}: {data['detail']}", data)
                    yield name, data
    if name != "done":
        raise CallFailed("The answer broke off before its end: it has no receipt.")


def lines_of(response: httpx.Response) -> Iterator[str]:
    """The lines of a stream of events, which end in newlines alone: httpx's own end at U+2028 too."""
    rest = ""
    for piece in response.iter_text():
        *lines, rest = (rest + piece).split("\n")
        yield from lines


def _call(url: str, path: str, **request: Any) -> dict[str, Any]:
    with _reached(url):
        response = httpx.post(url.rstrip("/") + path, **request)
    return _answer(url, path, response)


@contextmanager
def _reached(url: str) -> Iterator[None]:
    try:
        yield
    except httpx.HTTPError as error:
        raise CallFailed(
            f"{url} cannot be reached ({type(error).__name__}). Is the service running? python -m app serve"
        ) from None
    except (httpx.InvalidURL, ValueError):
        raise CallFailed("--url takes an address such as http://127.0.0.1:8000, and a token holds no odd characters.") from None


def _answer(url: str, path: str, response: httpx.Response) -> dict[str, Any]:
    try:
        answer = response.json()
    except ValueError:
        answer = None
    if not isinstance(answer, dict):
        raise CallFailed(f"{url}{path} answered {response.status_code} with something that is not ours.")
    if response.status_code != 200:
        detail = answer.get("detail") or answer.get("error_description") or "no reason given"
        code = answer.get("code") or answer.get("error") or "unknown"
        raise CallFailed(f"{response.status_code} {code}: {detail}", answer)
    return answer
