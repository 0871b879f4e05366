"""Every way in which a model's server fails, and what comes of it: the table in docs/reference/errors.md.

The status and the code are those of /v1, with one retry allowed (`[retries] most = 1`).
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from email.utils import formatdate
from itertools import chain, repeat
from time import time

import orjson

from .raw_server import Answer, End, chat, chunk, head, whole

TIMEOUT_SECONDS = 5
"""LLM_TIMEOUT_SECONDS of the service that meets them."""
MB = 1 << 20
UNPAID = b'{"error": {"message": "pay", "type": "insufficient_quota", "code": "insufficient_quota"}}'
METADATA = "Location: http://169.254.169.254/latest"
NO_MODEL = b'{"error": {"message": "no such model", "type": "invalid_request_error", "code": "model_not_found"}}'
WRONG = b'{"error": {"message": "wrong", "type": "invalid_request_error", "param": null, "code": null}}'


@dataclass(frozen=True)
class Fault:
    name: str
    answer: Answer = ()
    """What the server writes for each call."""
    status: int = 503
    code: str = "upstream_unavailable"
    """In the record; of an answer its finish reason."""
    why: str | None = "upstream_unavailable"
    calls: int = 1
    """Of the server, until the caller gets an answer."""
    retry_after: str | None = None
    server: str = "raw"
    """*closed*, *full*, *dns*, *expired* and *misnamed* are never asked."""


def refusal(status: int, body: bytes = WRONG, *headers: str) -> Answer:
    return [whole(body, *headers, status=f"{status} Told")]


def limited(retry_after: str) -> Answer:
    return refusal(429, WRONG, f"Retry-After: {retry_after}")


class Endless(Iterable[bytes | float | End]):
    """The same for each call."""

    def __init__(self, first: bytes, *more: bytes | float, times: int | None = None) -> None:
        self._first, self._more, self._times = first, more, times

    def __iter__(self) -> Iterator[bytes | float | End]:
        rounds = repeat(self._more) if self._times is None else repeat(self._more, self._times)
        return chain([self._first], chain.from_iterable(rounds))


def bomb(megabytes: int) -> bytes:
    """A gzip body that unfolds to so many megabytes of zeros. Its blocks are all alike."""
    packer = zlib.compressobj(9, wbits=31)
    begin = packer.compress(bytes(MB)) + packer.flush(zlib.Z_FULL_FLUSH)
    block = packer.compress(bytes(MB)) + packer.flush(zlib.Z_FULL_FLUSH)
    return begin + block * (megabytes - 1)


def answered(finish: str, content: str | None = "four") -> Answer:
    choice = {"index": 0, "message": {"role": "assistant", "content": content}, "finish_reason": finish}
    return [whole(orjson.dumps({"id": "x", "model": "small-1", "choices": [choice]}))]


BOMB = bomb(1024)
DRIP = Endless(head("Content-Length: 999"), b" ", 1.0)
FLOOD = Endless(head("Transfer-Encoding: chunked"), chunk(b" " * MB), times=1024)
FAULTS = [
    Fault("no connection in time", server="full", calls=0, status=504, code="upstream_timeout", why="upstream_timeout"),
    Fault("connection refused", server="closed", calls=0, why="connection_refused", retry_after="2"),
    Fault("no such name", server="dns", calls=0, why="dns", retry_after="2"),
    Fault("an expired certificate", server="expired", calls=0, status=502, code="upstream_error", why="tls"),
    Fault("a certificate for another name", server="misnamed", calls=0, status=502, code="upstream_error", why="tls"),
    Fault("no answer in time", [60.0], 504, "upstream_timeout", "upstream_timeout"),
    Fault("a reset before the answer", [End.RESET], why="connection_lost", retry_after="2"),
    Fault("a reset in its body", [head("Content-Length: 999") + chat(), 0.1, End.RESET], why="connection_lost", retry_after="2"),
    Fault("a body that ends early", [head("Content-Length: 999") + chat(), End.CLOSE], why="connection_lost", retry_after="2"),
    Fault("429", refusal(429), calls=2, retry_after="2"),
    Fault("429, Retry-After: 1", limited("1"), calls=2, retry_after="1"),
    Fault("429, Retry-After: 0", limited("0"), calls=2, retry_after="1"),
    Fault("429, Retry-After: -5", limited("-5"), calls=2, retry_after="2"),
    Fault("429, Retry-After: soon", limited("soon"), calls=2, retry_after="2"),
    Fault("429, Retry-After: 99999999999", limited("99999999999"), retry_after="120"),
    Fault("429, Retry-After: a date that has passed", limited(formatdate(time() - 60, usegmt=True)), calls=2, retry_after="1"),
    Fault("429, Retry-After: a date in an hour", limited(formatdate(time() + 3600, usegmt=True)), retry_after="120"),
    Fault("429 insufficient_quota", refusal(429, UNPAID), 429, "upstream_out_of_quota", "upstream_out_of_quota"),
    Fault("402", refusal(402), 429, "upstream_out_of_quota", "upstream_out_of_quota"),
    Fault("500", refusal(500), retry_after="2"),
    Fault("502", refusal(502), retry_after="2"),
    Fault("503", refusal(503), calls=2, retry_after="2"),
    Fault("529", refusal(529), calls=2, retry_after="2"),
    Fault("400", refusal(400), 400, "upstream_refused", "upstream_refused"),
    Fault("401", refusal(401), 502, "upstream_denied", "upstream_denied"),
    Fault("403", refusal(403), 502, "upstream_denied", "upstream_denied"),
    Fault("404, no such model", refusal(404, NO_MODEL), 404, "upstream_refused", "upstream_refused"),
    Fault("404, a page", refusal(404, b"<html>"), 400, "protocol_not_served", "protocol_not_served"),
    Fault(
        "a redirect to 169.254.169.254",
        refusal(307, b"", METADATA),
        502,
        "upstream_denied",
        "upstream_denied",
    ),
    Fault("200 with broken JSON", [whole(b'{"choices": [')], 502, "upstream_error", "upstream_error"),
    Fault("200 with HTML", [whole(b"<html>", kind="text/html")], 502, "upstream_error", "upstream_error"),
    Fault("200 without choices", [whole(b'{"choices": []}')], 502, "upstream_error", "upstream_error"),
    Fault("bytes that are not HTTP", [b"\0\1\2 no HTTP\r\n\r\n", End.CLOSE], 502, "upstream_error", "not_http"),
    Fault("200 with null content", answered("stop", None), 200, "stop", None),
    Fault("200, content_filter", answered("content_filter"), 200, "content_filter", None),
    Fault("200, length", answered("length"), 200, "length", None),
    Fault("a byte a second for ever", DRIP, 504, "upstream_timeout", "upstream_timeout"),
    Fault("headers only", [head("Content-Length: 999"), 60.0], 504, "upstream_timeout", "upstream_timeout"),
    Fault(
        "a body of 1 GB",
        FLOOD,
        502,
        "upstream_error",
        "upstream_error",
    ),
    Fault("a gzip bomb of 1 GB", [whole(BOMB, "Content-Encoding: gzip")], 502, "upstream_error", "upstream_error"),
]


def table() -> Iterator[str]:
    """As the reference shows it."""
    yield "| the model's server | status at `/v1` | code in the record | `why` in `tries` | calls |"
    yield "| --- | --- | --- | --- | --- |"
    for one in FAULTS:
        code = f"`{one.code}`" if one.status != 200 else f"an answer with `finish_reason` `{one.code}`"
        why = "none: it is an answer" if one.why is None else f"`{one.why}`"
        yield f"| {one.name} | {one.status} | {code} | {why} | {one.calls} |"
