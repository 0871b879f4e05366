"""Models asked by LangChain's classes for Mistral, Gemini and Bedrock: each that is installed, against a server of its protocol.

Mistral's is in requirements-dev.lock. The others are asked in an environment that has them: docs/how-to/connect-a-model.md.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from ..support.calls import bearer, check_problem, records_of
from ..support.dialect import Dialect
from ..support.dialects import INSTALLED, service_for
from ..support.optional import leave_out
from ..support.raw_server import Answer, End, RawServer, Request, chunk, whole
from ..support.service import HTTP, Service
from ..support.waiting import eventually

PIXEL = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
TOOL: Any = {"type": "function", "function": {"name": "weather", "parameters": {"type": "object", "properties": {}}}}
ASKED: Any = [{"role": "user", "content": "hi"}]


WANTED: list[Dialect | None] = [*INSTALLED] or [None]


@pytest.fixture(scope="module", params=WANTED, ids=lambda dialect: dialect and dialect.provider)
def dialect(request: pytest.FixtureRequest) -> Dialect:
    if request.param is None:
        leave_out("langchain-mistralai is not installed: install requirements-dev.lock")
    return request.param  # type: ignore[no-any-return]


@pytest.fixture(scope="module")
def server() -> Iterator[RawServer]:
    with RawServer(lambda request: []) as server:
        yield server


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory, server: RawServer, dialect: Dialect) -> Iterator[Service]:
    with service_for(tmp_path_factory.mktemp("service"), dialect, server.base_url, LANGSMITH_TRACING="true") as running:
        yield running


@pytest.fixture(scope="module")
def token(service: Service) -> str:
    return service.token("alice", service.add_client("alice"))


def post(service: Service, token: str, timeout: float = 30, **members: Any) -> httpx.Response:
    body = {"model": "other", "messages": ASKED, **members}
    return HTTP.post(service.url + "/v1/chat/completions", json=body, headers=bearer(token), timeout=timeout)


def let(server: RawServer, *answer: bytes | float | End) -> list[Request]:
    """The requests from now on."""

    def answered(request: Request) -> Answer:
        seen.append(request)
        return answer

    seen: list[Request] = []
    server.answer = answered
    return seen


def body_of(request: Request) -> dict[str, Any]:
    return dict(json.loads(request.body))


def chunks_of(answer: httpx.Response) -> list[dict[str, Any]]:
    assert answer.status_code == 200, answer.text
    *data, done = [line[6:] for line in answer.text.splitlines() if line.startswith("data: ")]
    assert done == "[DONE]"
    return [json.loads(one) for one in data]


def test_ask_is_answered_once_and_recorded(service: Service, token: str, server: RawServer, dialect: Dialect) -> None:
    seen = let(server, dialect.stream(dialect.said("Pa"), dialect.said("ris")))
    answer = service.ask(token)
    assert answer.json()["answer"] == "Paris"
    assert answer.json()["usage"] == {"input_tokens": 12, "output_tokens": 7}
    (request,) = seen
    assert (dialect.key or "AKIAPLANTED").encode() in request.head
    received, answered = [record["details"] for record in records_of(service, answer)]
    assert (received["via"], received["upstream_sha256"]) == ("langchain", None)
    assert (answered["answer"], answered["finish_reason"]) == ("Paris", "stop")
    assert service.verify()["ok"]


def test_an_answer_streams(service: Service, token: str, server: RawServer, dialect: Dialect) -> None:
    let(server, dialect.stream(dialect.thought("hm"), dialect.said("Pa"), dialect.said("ris")))
    *pieces, end, counted = chunks_of(post(service, token, stream=True, stream_options={"include_usage": True}))
    deltas = [piece["choices"][0]["delta"] for piece in pieces]
    assert "".join(delta.get("content", "") for delta in deltas) == "Paris"
    assert "".join(delta.get("reasoning_content", "") for delta in deltas) == "hm"
    assert end["choices"][0]["finish_reason"] == "stop"
    assert counted["usage"]["total_tokens"] == 19


@pytest.mark.parametrize("stream", [False, True])
def test_a_tool_is_called(service: Service, token: str, server: RawServer, dialect: Dialect, stream: bool) -> None:
    seen = let(server, dialect.stream(dialect.called("weather", {"city": "Paris"}), reason="tool_calls"))
    answer = post(service, token, tools=[TOOL], stream=stream)
    if stream:
        choices = [one["choices"][0] for one in chunks_of(answer) if one["choices"]]
        calls = [call for choice in choices for call in choice["delta"].get("tool_calls", ())]
        names, reason = [call["function"].get("name") for call in calls], choices[-1]["finish_reason"]
        arguments = "".join(call["function"].get("arguments", "") for call in calls)
        assert calls[0]["id"]
    else:
        (choice,) = answer.json()["choices"]
        (call,) = choice["message"]["tool_calls"]
        names, arguments, reason = [call["function"]["name"]], call["function"]["arguments"], choice["finish_reason"]
    assert (names[0], json.loads(arguments), reason) == ("weather", {"city": "Paris"}, "tool_calls")
    assert dialect.tools(body_of(seen[0])) == ["weather"]


def test_the_body_as_sent_has_what_was_asked(service: Service, token: str, server: RawServer, dialect: Dialect) -> None:
    call = {"id": "call_1", "type": "function", "function": {"name": "weather", "arguments": '{"city": "Paris"}'}}
    image = {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PIXEL}"}}
    messages = [
        {"role": "user", "content": [{"type": "text", "text": "see"}, image]},
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "call_1", "content": '{"degrees": 21}'},
    ]
    seen = let(server, dialect.stream(dialect.said("x")))
    answer = post(service, token, messages=messages, tools=[TOOL], max_completion_tokens=77, presence_penalty=0)
    assert answer.status_code == 200, answer.text
    body = body_of(seen[0])
    assert (dialect.limit(body), dialect.images(body)) == (77, [PIXEL])
    (result,) = dialect.results(body)
    assert "21" in result
    assert "enalty" not in json.dumps(body)  # some models refuse any, and 0 means none


@pytest.mark.parametrize("reason", ["length", "content_filter"])
def test_why_an_answer_ended_is_told(service: Service, token: str, server: RawServer, dialect: Dialect, reason: str) -> None:
    let(server, dialect.stream(dialect.said("x"), reason=reason, counts=None))
    answer = post(service, token).json()
    assert answer["choices"][0]["finish_reason"] == reason
    assert not answer.get("usage")  # the server did not count


@pytest.mark.parametrize("member", [{"logprobs": True}, {"parallel_tool_calls": False, "tools": [TOOL]}, {"user": "alice"}])
def test_what_is_not_carried_is_refused_by_name(
    service: Service, token: str, server: RawServer, dialect: Dialect, member: dict[str, Any]
) -> None:
    seen = let(server, dialect.stream(dialect.said("x")))
    error = post(service, token, **member).json()["error"]
    assert (error["code"], error["param"], seen) == ("unsupported_parameter", next(iter(member)), [])


def test_to_call_no_tool_is_told_or_refused(service: Service, token: str, server: RawServer, dialect: Dialect) -> None:
    seen = let(server, dialect.stream(dialect.said("x")))
    answer = post(service, token, tools=[TOOL], tool_choice="none")
    if dialect.provider == "bedrock_converse":  # has no word for it
        assert (answer.json()["error"]["param"], seen) == ("tool_choice", [])
    else:
        assert answer.status_code == 200
        assert '"none"' in json.dumps(body_of(seen[0])).lower()


@pytest.mark.parametrize(("stream", "status"), [(False, 429), (True, 429), (False, 500), (False, 529)])
def test_a_server_that_is_busy_is_asked_once(
    service: Service, token: str, server: RawServer, dialect: Dialect, stream: bool, status: int
) -> None:
    seen = let(server, dialect.failure(status, "Retry-After: 7"))
    answer = post(service, token, stream=stream)
    assert (answer.status_code, answer.json()["error"]["code"]) == (503, "upstream_unavailable")
    assert (answer.headers["retry-after"], len(seen)) == ("7", 1)
    assert "planted words" not in answer.text


def test_a_wrong_key_is_the_operators_concern(service: Service, token: str, server: RawServer, dialect: Dialect) -> None:
    seen = let(server, dialect.denial())
    check_problem(service.ask(token), 502, "upstream_denied")
    assert len(seen) == 1


def test_a_refusal_is_the_callers_concern(service: Service, token: str, server: RawServer, dialect: Dialect) -> None:
    let(server, dialect.failure(400))
    assert (answer := post(service, token)).status_code == 400, answer.text


def test_a_redirect_is_not_followed(service: Service, token: str, server: RawServer, dialect: Dialect) -> None:
    with RawServer(lambda request: [dialect.stream(dialect.said("stray"))]) as stray:
        let(server, whole(b"", f"Location: {stray.base_url}/chat/completions", status="307 Temporary Redirect"))
        assert post(service, token).status_code == 502
        assert stray.requests == []


@pytest.mark.parametrize("end", list(End))
def test_an_answer_that_is_cut_is_never_whole(
    service: Service, token: str, server: RawServer, dialect: Dialect, end: End
) -> None:
    let(server, dialect.begun(dialect.said("Pa")), 0.1, end)
    answer = post(service, token)
    assert (answer.status_code, answer.json()["error"]["code"]) == (503, "upstream_unavailable")
    assert '"error"' in post(service, token, stream=True).text


@pytest.mark.parametrize("bytes_", [b"data: {nothing\n\n", b"\x00" * 64])
def test_an_answer_that_is_none_is_told(service: Service, token: str, server: RawServer, dialect: Dialect, bytes_: bytes) -> None:
    let(server, dialect.begun() + chunk(bytes_) + chunk(b""))
    assert (answer := post(service, token)).status_code == 502, answer.text


def test_the_deadline_is_ours_and_a_stop_waits_for_no_call(tmp_path: Path, server: RawServer, dialect: Dialect) -> None:
    env = {"LLM_TIMEOUT_SECONDS": "0.5", "SHUTDOWN_GRACE_SECONDS": "5"}
    with service_for(tmp_path, dialect, server.base_url, **env) as service:
        token = service.token("alice", service.add_client())
        seen = let(server, dialect.begun(), 30.0)
        check_problem(service.ask(token), 504, "upstream_timeout")
        asking = threading.Thread(target=post, args=(service, token))
        asking.start()
        eventually(lambda: len(seen) == 2)
        begun = time.monotonic()
        assert service.stop() == 0
        assert time.monotonic() - begun < 20
        asking.join()
