"""For tests of the real SDKs: clients with only a base URL and a token, their questions, and their receipts."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest
from openai import APIStatusError, AsyncOpenAI, OpenAI
from pydantic import BaseModel

from .fake_openai import FakeOpenAI, completion_text
from .service import Service

MODEL = "gpt-4o-mini"
QUESTION = "What is the capital of France?"
ANSWER = completion_text(QUESTION)
MESSAGES: Any = [{"role": "system", "content": "Answer briefly."}, {"role": "user", "content": QUESTION}]
CHAT: Any = {"model": MODEL, "messages": MESSAGES}
RESPONSE: Any = {"model": MODEL, "input": QUESTION}

PARAMETERS: Any = {
    "type": "object",
    "properties": {"city": {"type": "string"}, "days": {"type": "integer"}},
    "required": ["city", "days"],
    "additionalProperties": False,
}
TOOLS: Any = [{"type": "function", "function": {"name": "weather", "parameters": PARAMETERS}}]
CALLED = {"city": "text", "days": 1}
"""The fake's arguments for the tool."""

PIXEL = "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="


MODELS = """
[servers.main]
base_url = "{url}"
api_key_env = "KEY_OF_MAIN"

[servers.old]
base_url = "{url}"
stream_usage = false

[servers.renaming]
base_url = "{url}"
token_param = "max_completion_tokens"

[models.small]
server = "main"
model = "vendor/small-1:free"
aliases = ["gpt-5-mini", "helper/one"]
context_tokens = 4000

[models.clamped]
server = "main"
max_output_tokens = 30
default_output_tokens = 12
over_cap = "clamp"

[models.newer]
server = "renaming"

[models."old/one"]
server = "old"

[models.research]
server = "main"
roles = ["ai.research"]

[models.vectors]
server = "main"
endpoints = ["embeddings"]

[caps."ai.research"]
body_bytes = 30000
messages = 9
message_chars = 400
tokens = 80
"""
SERVER_KEY = "sk-planted-key-0123456789"


class City(BaseModel):
    name: str
    inhabitants: int


class Exchange(BaseModel):
    """Nested, so that its schema has definitions and references."""

    cities: list[City]
    is_long: bool


TRIP = Exchange(cities=[City(name="text", inhabitants=1)], is_long=True)
"""The fake's instance of the schema."""


def strict_service(folder: Path, upstream: FakeOpenAI) -> Service:
    """A service with the models above and narrow caps, not started."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "models.toml").write_text(MODELS.format(url=upstream.base_url))
    env: dict[str, Any] = {
        "MODELS_FILE": "models.toml",
        "LLM_MODEL": "small",
        "KEY_OF_MAIN": SERVER_KEY,
        "V1_MAX_BODY_BYTES": "20000",
        "V1_MAX_MESSAGES": "7",
        "V1_MAX_MESSAGE_CHARS": "200",
        "V1_MAX_TOKENS": "50",
        "V1_REFUSED_PARAMS": "grammar, logits_processors",
    }
    return Service(folder, **env)


def client_of(service: Service, token: str, **more: Any) -> OpenAI:
    return OpenAI(base_url=service.url + "/v1", api_key=token, **more)


def async_client_of(service: Service, token: str, **more: Any) -> AsyncOpenAI:
    return AsyncOpenAI(base_url=service.url + "/v1", api_key=token, **more)


def newcomer(service: Service, name: str, **more: Any) -> OpenAI:
    """A new client, so that its rate limit is unused."""
    return client_of(service, service.token(name, service.add_client(name)), **more)


class Impatient:
    """For a client of either SDK: keeps the announced delay and the SDK's own before each retry, and does not wait."""

    waits: list[tuple[str | None, float]]

    def _calculate_retry_timeout(self, remaining_retries: int, options: Any, response_headers: Any = None) -> float:
        own: float = super()._calculate_retry_timeout(remaining_retries, options, response_headers)  # type: ignore[misc]  # the SDK's
        self.waits.append((response_headers.get("retry-after-ms"), own))
        return 0.0


class ImpatientClient(Impatient, OpenAI):
    """OpenAI's."""


def hasty(service: Service, name: str) -> ImpatientClient:
    """A client with the SDK's default of three attempts."""
    client = ImpatientClient(base_url=service.url + "/v1", api_key=service.token(name, service.add_client(name)))
    client.waits = []
    return client


def ask(client: OpenAI, **more: Any) -> Any:
    return client.chat.completions.create(**CHAT, **more)


def refused(call: Callable[..., Any], *given: Any, **asked: Any) -> APIStatusError:
    """The error that a call raises; checks that its body has OpenAI's form."""
    with pytest.raises(APIStatusError) as caught:
        call(*given, **asked)
    error = caught.value
    assert list(error.response.json()) == ["error"]
    assert list(error.response.json()["error"]) == ["message", "type", "param", "code"]
    assert error.response.headers["content-type"] == "application/json"
    assert re.fullmatch("[0-9a-f]{32}", error.request_id or "")
    return error


def check_error(error: APIStatusError, kind: type[APIStatusError], status: int, type_: str, code: str | None) -> None:
    assert (type(error), error.status_code, error.type, error.code) == (kind, status, type_, code), error.body


def receipt_of(answer: BaseModel) -> str:
    """The receipt in *answer*, in the form that `audit verify` accepts."""
    assert answer.model_extra, f"no receipt in {answer!r}"
    receipt = answer.model_extra["receipt"]
    assert set(receipt) == {"seq", "hash"}
    return f"{receipt['seq']}:{receipt['hash']}"


def record_of(service: Service, receipt: str) -> dict[str, Any]:
    """The record that *receipt* names."""
    seq, _, digest = receipt.partition(":")
    record = service.records()[int(seq)]
    assert (record["seq"], record["hash"]) == (int(seq), digest)
    return record


def texts_of(chunks: Iterable[Any], choice: int = 0) -> list[str]:
    """The pieces of text of one choice of a chat stream."""
    deltas = [one.delta for chunk in chunks for one in chunk.choices if one.index == choice]
    return [delta.content for delta in deltas if delta.content]


def records_named(service: Service, request_id: str | None) -> list[dict[str, Any]]:
    """The records of one request."""
    return [record for record in service.records() if record["request_id"] == request_id]
