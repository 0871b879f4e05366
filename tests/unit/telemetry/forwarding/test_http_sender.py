"""Records by HTTP: a 2xx confirms them, anything else does not."""

from __future__ import annotations

import json
import ssl

import httpx
import pytest

from app.telemetry.forwarding.event import Event, NotDelivered
from app.telemetry.forwarding.http_sender import JSON, HttpSender, json_array

from ....support.logged import records


def sender(answer: httpx.Response | Exception, seen: list[httpx.Request]) -> HttpSender:
    def handle(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        if isinstance(answer, Exception):
            raise answer
        return answer

    made = HttpSender("http://siem.test/in", JSON, json_array, {"authorization": "Bearer x"}, ssl.create_default_context())
    made._client.close()
    made._client = httpx.Client(transport=httpx.MockTransport(handle), headers=made._client.headers)
    return made


def events() -> list[Event]:
    return [Event(record, record.line) for record in records("log.opened", "log.alive")]


def test_a_batch_is_one_array_with_our_headers() -> None:
    seen = list[httpx.Request]()
    one = sender(httpx.Response(204), seen)
    one.send(events())
    one.close()
    (request,) = seen
    assert [found["seq"] for found in json.loads(request.content)] == [0, 1]
    assert (request.headers["content-type"], request.headers["authorization"]) == (JSON, "Bearer x")


@pytest.mark.parametrize(
    ("answer", "retry_after", "is_too_large"),
    [
        (httpx.Response(503, headers={"retry-after": "7"}), 7.0, False),
        (httpx.Response(429, headers={"retry-after": "soon"}), None, False),
        (httpx.Response(413), None, True),
        (httpx.Response(302, headers={"location": "http://elsewhere.test/"}), None, False),
        (httpx.ConnectError("refused"), None, False),
    ],
)
def test_anything_but_a_2xx_confirms_nothing(
    answer: httpx.Response | Exception, retry_after: float | None, is_too_large: bool
) -> None:
    seen = list[httpx.Request]()
    one = sender(answer, seen)
    with pytest.raises(NotDelivered) as refused:
        one.send(events())
    one.close()
    assert (refused.value.retry_after, refused.value.is_too_large, len(seen)) == (retry_after, is_too_large, 1)
