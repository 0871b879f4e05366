"""What we rely on inside libraries, beyond their documented interfaces.

Each library stands in one file of app/ (uvicorn in two) and is pinned to a minor version in pyproject.toml. When a
test here fails after an upgrade, that file must be looked at before the pin is moved.
"""

from __future__ import annotations

import asyncio
import inspect
import itertools
import re
import tomllib
from functools import cached_property
from importlib.metadata import version
from typing import Any

import langsmith.utils
import orjson
import psycopg
import pytest
from langchain_anthropic import ChatAnthropic
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import HumanMessage, SystemMessage
from langchain_openai.chat_models.base import BaseChatOpenAI
from pydantic import SecretStr
from starlette.middleware.cors import CORSMiddleware
from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import Server, ServerState

from app.catalogue.models import Server as ModelServer
from app.serving.http_protocol import HttpProtocol
from app.upstream.client import Upstream
from app.upstream.completion import Reply
from app.upstream.langchain import LeanChatOpenAI, open_chain
from app.upstream.language_model import LanguageModel
from app.upstream.protocol.endpoint import Endpoint
from app.upstream.tracing import disable_tracing

from ..support.paths import ROOT

UVICORN = "app/serving/http_protocol.py (or http_request.py) relies on this part of uvicorn"


def pin_of(package: str) -> str:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    return str(next(one for one in project["dependencies"] if re.match(rf"{package}\b", one)))


@pytest.mark.parametrize("package", ["uvicorn", "langchain-core", "langchain-openai", "langsmith"])
def test_the_library_is_pinned_to_the_minor_version_in_use(package: str) -> None:
    major, minor, *_ = version(package).split(".")
    assert pin_of(package).endswith(f"<{major}.{int(minor) + 1}"), "move the pin together with this test's library"


def test_psycopg_waits_in_the_method_that_we_override() -> None:
    """app/kit/postgres.py: every answer, and a timeout for it, goes through `wait`."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    major, minor, *_ = version("psycopg").split(".")
    assert project["optional-dependencies"]["postgres"] == [f"psycopg[binary]>={major}.{minor},<{major}.{int(minor) + 1}"]
    for kind in (psycopg.Connection, psycopg.AsyncConnection):
        assert list(inspect.signature(kind.wait).parameters) == ["self", "gen", "interval", "timeout"]
    assert issubclass(psycopg.errors._WaitTimeout, psycopg.Error)


# --- uvicorn ---------------------------------------------------------------------------------


def test_uvicorn_makes_a_protocol_with_the_arguments_that_we_take() -> None:
    """And stops it through `shutdown`, once it is in `connections`."""
    assert list(inspect.signature(HttpToolsProtocol).parameters) == list(inspect.signature(HttpProtocol).parameters)[1:]
    source = inspect.getsource(Server)
    assert "for connection in list(self.server_state.connections):" in source, f"{UVICORN}: Server.shutdown"
    assert "connection.shutdown()" in source
    assert {"connections", "tasks", "total_requests", "default_headers"} <= vars(ServerState()).keys(), f"{UVICORN}: ServerState"


@pytest.mark.parametrize("name", ["pause_reading", "resume_reading", "pause_writing", "resume_writing", "drain"])
def test_uvicorns_flow_control_has_what_we_call(name: str) -> None:
    assert callable(getattr(FlowControl, name)), f"{UVICORN}: FlowControl"


# --- Starlette ---------------------------------------------------------------------------------


def test_starlette_answers_preflights_through_the_method_that_we_override() -> None:
    found = getattr(CORSMiddleware, "preflight_response", None)
    assert found is not None, "app/api/cors.py relies on CORSMiddleware.preflight_response"
    assert list(inspect.signature(found).parameters) == ["self", "request_headers"]
    assert "self.preflight_response(request_headers=headers)" in inspect.getsource(CORSMiddleware.__call__)
    assert list(inspect.signature(CORSMiddleware.is_allowed_origin).parameters) == ["self", "origin"]
    for method in (found, CORSMiddleware.send):
        assert "self.is_allowed_origin(origin=" in inspect.getsource(method), "app/api/cors.py overrides it"


# --- LangChain and LangSmith -----------------------------------------------------------------

LANGCHAIN = "app/upstream/langchain.py relies on this part of LangChain"
DOCUMENT = {
    "id": "chatcmpl-1",
    "object": "chat.completion",
    "created": 1,
    "model": "small-1",
    "choices": [{"index": 0, "message": {"role": "assistant", "content": "fine"}, "finish_reason": "stop"}],
    "usage": {"prompt_tokens": 3, "completion_tokens": 5, "total_tokens": 8},
}


class Recorder(Upstream):
    """Answers with DOCUMENT, and keeps the bodies that were to be sent."""

    def __init__(self) -> None:
        super().__init__(ModelServer("none", "http://127.0.0.1:9/v1", "k"))
        self.bodies: list[bytes] = []

    async def complete(self, endpoint: Endpoint, body: bytes, model: str, **_: Any) -> Reply:
        self.bodies.append(body)
        return Reply(orjson.dumps(DOCUMENT), DOCUMENT, endpoint.read(DOCUMENT, model))

    async def open_stream(self, endpoint: Endpoint, body: bytes, *_: Any, is_fresh: bool = False) -> Any:
        self.bodies.append(body)
        raise EOFError


def language_model(upstream: Upstream) -> tuple[LanguageModel, LeanChatOpenAI]:
    model = LanguageModel(
        upstream, model="small-1", base_url="http://127.0.0.1:9/v1", temperature=0.7, max_tokens=9, system_prompt="Be brief."
    )
    return model, next(step for step in model.chain.steps if isinstance(step, LeanChatOpenAI))


@pytest.mark.parametrize(
    ("owner", "method", "parameters"),
    [
        (BaseChatModel, "_agenerate", ["self", "messages", "stop", "run_manager", "kwargs"]),
        (BaseChatModel, "_astream", ["self", "messages", "stop", "run_manager", "kwargs"]),
        (BaseChatOpenAI, "_get_request_payload", ["self", "input_", "stop", "kwargs"]),
        (BaseChatOpenAI, "_create_chat_result", ["self", "response", "generation_info"]),
    ],
)
def test_langchain_has_the_methods_that_we_override_or_call(owner: type, method: str, parameters: list[str]) -> None:
    found = getattr(owner, method, None)
    assert found is not None, f"{LANGCHAIN}: {owner.__name__} has no {method} any more"
    taken = list(inspect.signature(found).parameters)
    assert taken == parameters, f"{LANGCHAIN}: {owner.__name__}.{method} takes {taken} now"


def test_langchain_calls_agenerate_for_ainvoke_and_maps_our_document() -> None:
    """`_create_chat_result` takes the parsed document."""
    upstream = Recorder()
    model, _ = language_model(upstream)
    answer = asyncio.run(model.chain.ainvoke({"query": "hi"}))
    assert upstream.bodies == [model.build_body("hi")], f"{LANGCHAIN}: ainvoke no longer sends through our _agenerate"
    assert answer == "fine", f"{LANGCHAIN}: _create_chat_result no longer takes a plain document"


def test_langchain_calls_astream_of_ours_to_stream() -> None:
    upstream = Recorder()
    model, _ = language_model(upstream)

    async def stream() -> None:
        async for _ in model.chain.astream({"query": "hi"}):
            pass

    with pytest.raises(EOFError):
        asyncio.run(stream())
    assert upstream.bodies == [model.build_body("hi", stream=True)], f"{LANGCHAIN}: astream bypasses our _astream"


MODELS = ("small-1", "o1", "o3-mini", "O4", "omni", "gpt-5", "GPT-5.1-mini", "gpt-5-chat-latest", "gpt-4o", "gpt-6")


@pytest.mark.parametrize("name", MODELS)
def test_langchain_builds_the_very_bytes_that_we_build_by_hand(name: str) -> None:
    servers = [
        Upstream(ModelServer("none", "http://127.0.0.1:9/v1", "k", stream_usage=usage, token_param=param))
        for usage in (True, False)
        for param in (None, "max_tokens", "max_completion_tokens")
    ]
    for upstream, temperature, system in itertools.product(servers, (0, 0.7, 1), ('Be {brief}. ""', "")):
        options = {"model": name, "temperature": temperature, "max_tokens": 9, "system_prompt": system}
        model = LanguageModel(upstream, base_url="http://127.0.0.1:9/v1", **options)  # type: ignore[arg-type]  # of three types
        _, chat = open_chain(upstream, base_url="http://127.0.0.1:9/v1", **options)  # type: ignore[arg-type]
        for query, stream in itertools.product(("hi", "", 'é 🙂 "" {query} \\ \n'), (False, True)):
            messages = [*([SystemMessage(system)] if system else []), HumanMessage(query)]
            ours, theirs = model.build_body(query, stream=stream), chat.body_of(messages, stream=stream)
            assert ours == theirs, f"{LANGCHAIN}: _get_request_payload builds another payload for {options}"


def test_langchain_builds_no_sdk_client_where_we_give_it_ours() -> None:
    """An SDK client would follow redirects and the environment's proxies."""
    _, chat = language_model(Recorder())
    built = [name for name in ("root_client", "root_async_client") if getattr(chat, name, None) is not None]
    assert built == [], f"{LANGCHAIN}: it builds {built} although `client` and `async_client` are given"
    with pytest.raises(NotImplementedError):
        _ = chat.async_client.create


def test_langsmith_stays_off_whatever_the_environment_says(monkeypatch: pytest.MonkeyPatch) -> None:
    assert hasattr(langsmith.utils.get_env_var, "cache_clear"), f"{LANGCHAIN} (LangSmith): get_env_var is not cached any more"
    disable_tracing()
    monkeypatch.setenv("LANGSMITH_TRACING", "true")
    langsmith.utils.get_env_var.cache_clear()  # type: ignore[attr-defined]  # as in app/upstream/tracing.py
    assert not langsmith.utils.tracing_is_enabled(), f"{LANGCHAIN} (LangSmith): configure(enabled=False) does not outrank"


# --- langchain-anthropic: app/upstream/langchain_servers/chat_models.py and sending.py -------------------------


def test_langchain_anthropic_is_pinned_to_the_minor_version_in_use() -> None:
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    major, minor, *_ = version("langchain-anthropic").split(".")
    assert [one for one in extras["anthropic"] if one.endswith(f"<{major}.{int(minor) + 1}")] == extras["anthropic"]


def test_langchain_anthropic_asks_by_the_client_that_stands_in_its_place() -> None:
    """Its own follows redirects, asks the environment's proxies, and is shared by the whole process."""
    where = "chat_models.py relies on this part of langchain-anthropic"
    assert isinstance(ChatAnthropic.__dict__.get("_async_client"), cached_property), f"{where}: _async_client is not cached"
    params = ChatAnthropic(model="m", api_key=SecretStr("k"), max_retries=0)._client_params
    assert {"api_key", "base_url", "max_retries"} <= params.keys(), f"{where}: _client_params"
    assert params["max_retries"] == 0


def test_a_copy_of_a_chat_model_keeps_its_client_and_takes_its_own_stream() -> None:
    model = ChatAnthropic(model="m", api_key=SecretStr("k"))
    vars(model)["_async_client"] = client = object()
    copy = model.model_copy(update={"temperature": 0.5})
    assert vars(copy)["_async_client"] is client, f"{LANGCHAIN}: model_copy leaves the client behind"
    vars(copy)["_astream"] = stream = object()
    assert copy._astream is stream, f"{LANGCHAIN}: a method of one copy cannot be replaced"
    assert model._astream is not stream
