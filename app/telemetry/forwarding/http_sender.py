"""Records by HTTP(S): as a JSON array, or as OTLP log records in protobuf."""

from __future__ import annotations

import ssl
from collections.abc import Callable, Mapping, Sequence

import httpx

from .event import Event, NotDelivered

TIMEOUT_SECONDS = 30.0
TOO_LARGE = 413
JSON, PROTOBUF = "application/json", "application/x-protobuf"


class HttpSender:
    """A Sender. Any 2xx confirms the whole batch."""

    def __init__(
        self,
        url: str,
        kind: str,
        encode: Callable[[Sequence[Event]], bytes],
        headers: Mapping[str, str],
        tls: ssl.SSLContext,
        on_answer: Callable[[bytes], None] = lambda body: None,
    ) -> None:
        """*on_answer* gets the body of a 2xx."""
        self._url, self._encode, self._on_answer = url, encode, on_answer
        self._client = httpx.Client(
            verify=tls, timeout=TIMEOUT_SECONDS, follow_redirects=False, headers={**headers, "content-type": kind}
        )

    def send(self, events: Sequence[Event]) -> None:
        try:
            answer = self._client.post(self._url, content=self._encode(events))
        except httpx.HTTPError as error:
            raise NotDelivered(f"{type(error).__name__}: {error}") from None
        if not answer.is_success:
            why = f"the receiver answered {answer.status_code}"
            raise NotDelivered(why, retry_after=_seconds(answer), is_too_large=answer.status_code == TOO_LARGE)
        self._on_answer(answer.content)

    def close(self) -> None:
        self._client.close()


def json_array(events: Sequence[Event]) -> bytes:
    return b"[" + b",".join(event.body for event in events) + b"]"


def _seconds(answer: httpx.Response) -> float | None:
    told = answer.headers.get("retry-after", "")
    return float(told) if told.isdecimal() else None
