"""Anthropic's protocol over sockets: which server is asked with which key, what passes unchanged, and the end that waits."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from ..support.calls import bearer, records_of
from ..support.fake_openai import FakeOpenAI, completion_text
from ..support.service import HTTP, Service

QUERY = "What is the capital of France?"
ASKED: dict[str, Any] = {"model": "m", "max_tokens": 9, "messages": [{"role": "user", "content": QUERY}]}
CHAT: dict[str, Any] = {"model": "m", "messages": ASKED["messages"]}
KEY = "sk-planted-key-0123456789"
MODELS = """
[servers.both]
base_url = "{url}"
api_key_env = "SERVER_KEY"
auth = "x-api-key"
[servers.openai]
base_url = "{url}"
api_key_env = "SERVER_KEY"
protocols = ["openai"]
[servers.anthropic]
base_url = "{url}"
protocols = ["anthropic"]
[models.both]
server = "both"
[models.openai]
server = "openai"
[models.anthropic]
server = "anthropic"
"""


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory, fake: FakeOpenAI) -> Iterator[Service]:
    folder: Path = tmp_path_factory.mktemp("messages")
    (folder / "models.toml").write_text(MODELS.format(url=fake.base_url))
    with Service(folder, MODELS_FILE="models.toml", LLM_MODEL="both", SERVER_KEY=KEY) as running:
        yield running


def post(service: Service, token: str, path: str = "/v1/messages", *, model: str = "both", **more: Any) -> httpx.Response:
    body = {**(CHAT if "chat" in path else ASKED), "model": model, **more}
    return HTTP.post(service.url + path, json=body, headers={"x-api-key": token})


def events_of(answer: httpx.Response) -> list[tuple[str, Any]]:
    """The name and the document of each event; comments are left out."""
    blocks = [block.split("\n") for block in answer.text.split("\n\n") if block and not block.startswith(":")]
    return [(name.removeprefix("event: "), json.loads(data.removeprefix("data: "))) for name, data in blocks]


# --- keys -------------------------------------------------------------------------------------------


def test_x_api_key_proves_a_caller_at_every_endpoint(service: Service, token: str) -> None:
    key, wrong = {"x-api-key": token}, {"x-api-key": "not-a-token"}
    for path in ("/v1/models", "/audit/entries"):
        assert HTTP.get(service.url + path, headers=key).status_code == 200
        assert HTTP.get(service.url + path, headers=wrong).status_code == 401
        assert HTTP.get(service.url + path, headers={**wrong, **bearer(token)}).status_code == 401
    assert HTTP.post(service.url + "/ask", json={"query": QUERY}, headers=key).status_code == 200
    assert post(service, token, "/v1/chat/completions").status_code == 200
    refused = HTTP.post(service.url + "/v1/messages", json=ASKED, headers={**key, **bearer("other")})
    assert (refused.status_code, refused.json()["error"]["type"]) == (401, "authentication_error")
    assert refused.headers["request-id"] == refused.headers["x-request-id"] == refused.json()["request_id"]


def test_a_server_gets_its_own_key_in_the_header_that_it_wants(service: Service, token: str, upstream: FakeOpenAI) -> None:
    for model, expected in (("both", ("x-api-key", KEY)), ("openai", ("authorization", f"Bearer {KEY}")), ("anthropic", None)):
        post(service, token, "/v1/chat/completions" if model == "openai" else "/v1/messages", model=model)
        sent = upstream.seen()["headers"]
        keys = {name: value for name, value in sent.items() if name in ("authorization", "x-api-key")}
        assert keys == (dict([expected]) if expected else {})
        assert token not in json.dumps(sent)


# --- protocols --------------------------------------------------------------------------------------


@pytest.mark.parametrize(("model", "path"), [("openai", "/v1/messages"), ("anthropic", "/v1/chat/completions")])
def test_a_server_is_not_asked_in_a_protocol_that_it_is_known_to_lack(
    service: Service, token: str, upstream: FakeOpenAI, model: str, path: str
) -> None:
    refused = post(service, token, path, model=model)
    error = refused.json()["error"]
    assert (refused.status_code, error.get("code") or error["details"]["error_code"]) == (400, "protocol_not_served")
    assert [record["action"] for record in records_of(service, refused)] == ["request.refused"]
    assert upstream.calls() == 0


def test_ask_says_so_where_its_model_speaks_another_protocol(tmp_path: Path, upstream: FakeOpenAI) -> None:
    (tmp_path / "models.toml").write_text(MODELS.format(url=upstream.base_url))
    with Service(tmp_path, MODELS_FILE="models.toml", LLM_MODEL="anthropic", SERVER_KEY=KEY) as service:
        token = service.token("alice", service.add_client("alice"))
        refused = service.ask(token)
        assert (refused.status_code, refused.json()["code"], upstream.calls()) == (400, "protocol_not_served", 0)
        assert post(service, token, model="anthropic").status_code == 200


def test_where_nothing_is_known_a_404_of_the_server_tells(service: Service, token: str, upstream: FakeOpenAI) -> None:
    upstream.set("status:404", body="404 page not found")
    for path in ("/v1/messages", "/v1/messages/count_tokens", "/v1/chat/completions"):
        more: Any = {"max_tokens": None} if "count" in path else {}
        refused = post(service, token, path, **more)
        error = refused.json()["error"]
        assert (refused.status_code, error.get("code") or error["details"]["error_code"]) == (400, "protocol_not_served")
        assert [record["action"] for record in records_of(service, refused)] == ["ask.received", "ask.failed"]
    assert post(service, token, model="anthropic").status_code == 404, "this one is known to speak it"


# --- what passes --------------------------------------------------------------------------------------


def test_unknown_events_pass_as_they_came_and_the_last_gets_the_receipt(
    service: Service, token: str, upstream: FakeOpenAI
) -> None:
    script = [
        'event: message_start\ndata: {"type": "message_start", "message": {"content": [], "usage": {"input_tokens": 3}}}\n\n',
        'event: ping\ndata: {"type": "ping"}\n\n',
        'event: content_block_start\ndata: {"type":"content_block_start","content_block":{"type":"text","text":""}}\n\n',
        'event: x_new\ndata: {"type": "x_new", "note": "kept"}\n\n',
        'event: content_block_delta\ndata: {"type":"content_block_delta","delta":{"type":"text_delta","text":"Hi"}}\n\n',
        'event: message_delta\ndata: {"type":"message_delta","delta":{"stop_reason":"end_turn"},"usage":{"output_tokens":5}}\n\n',
    ]
    upstream.set(script=[*script, 'event: message_stop\ndata: {"type":"message_stop"}\n\n'])
    answer = post(service, token, stream=True)
    assert answer.text.startswith("".join(script))
    received, answered = records_of(service, answer)
    receipt = {"seq": answered["seq"], "hash": answered["hash"]}
    assert events_of(answer)[-1] == ("message_stop", {"type": "message_stop", "receipt": receipt})
    details = answered["details"]
    assert (details["answer"], details["usage"], details["finish_reason"], details["other"]) == (
        "Hi",
        {"input_tokens": 3, "output_tokens": 5},
        "end_turn",
        {"note": "kept"},
    )
    assert answer.headers["request-id"] == received["request_id"]


def test_data_of_tools_and_thinking_passes_and_content_of_others_does_not(
    service: Service, token: str, upstream: FakeOpenAI
) -> None:
    call = {"type": "tool_use", "id": "t", "name": "read", "input": {"file_id": "mine", "text": "x"}}
    thought = {"type": "thinking", "thinking": "hm", "signature": "c2lnbmF0dXJl" * 50}
    result = {"type": "tool_result", "tool_use_id": "t", "content": [{"type": "text", "text": "ok"}]}
    turns: Any = [*CHAT["messages"], {"role": "assistant", "content": [thought, call]}, {"role": "user", "content": [result]}]
    assert post(service, token, messages=turns).status_code == 200
    assert json.loads(upstream.seen()["bodies"][-1])["messages"] == turns
    document = {"type": "document", "source": {"type": "file", "file_id": "file_of_another"}}
    refused = post(service, token, messages=[{"role": "user", "content": [document]}])
    assert refused.json()["error"]["details"] == {
        "error_code": "invalid_request",
        "param": "messages[0]",
        "reason": "unsupported_parameter",
    }
    assert post(service, token, system="x" * 600_000).json()["error"]["details"]["param"] == "system"
    picture = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "iVBORw0K" * 100_000}}
    assert post(service, token, messages=[{"role": "user", "content": [picture]}]).status_code == 200, "bytes are no text"


# --- the end that waits ---------------------------------------------------------------------------------


def test_without_its_last_record_a_message_has_no_end(tmp_path: Path, upstream: FakeOpenAI) -> None:
    upstream.set(interval=0.2)
    with Service(tmp_path, OPENAI_BASE_URL=upstream.base_url, LLM_MODEL="both") as service:
        token = service.token("alice", service.add_client("alice"))
        body = {**ASKED, "model": "both", "stream": True}
        with HTTP.stream("POST", service.url + "/v1/messages", json=body, headers=bearer(token)) as answer:
            pieces = answer.iter_text()
            text = next(pieces)
            service.log.rename(tmp_path / "away")
            text += "".join(pieces)
        (tmp_path / "away").rename(service.log)
    assert "message_stop" not in text
    name, data = text.strip().split("\n\n")[-1].split("\n")
    error = json.loads(data.removeprefix("data: "))
    assert (name, error["type"], error["error"]["details"]) == ("event: error", "error", {"error_code": "audit_unavailable"})


def test_a_buffered_message_says_nothing_before_its_record(tmp_path: Path, upstream: FakeOpenAI) -> None:
    env: dict[str, Any] = {"AUDIT_STREAM": "buffer", "STREAM_KEEPALIVE_SECONDS": "0.1", "LLM_MODEL": "both"}
    with Service(tmp_path, OPENAI_BASE_URL=upstream.base_url, **env) as service:
        token = service.token("alice", service.add_client("alice"))
        answer = post(service, token, stream=True)
        names = [name for name, _ in events_of(answer)]
        assert (names[0], names[-1]) == ("message_start", "message_stop")
        assert records_of(service, answer)[-1]["details"]["answer"] == completion_text(QUERY)
        upstream.set(interval=0.2)
        body = {**ASKED, "model": "both", "stream": True}
        with HTTP.stream("POST", service.url + "/v1/messages", json=body, headers=bearer(token)) as open_answer:
            pieces = open_answer.iter_text()
            text = next(pieces)
            service.log.rename(tmp_path / "away")
            text += "".join(pieces)
        (tmp_path / "away").rename(service.log)
    assert "message_start" not in text
    assert "audit_unavailable" in text
