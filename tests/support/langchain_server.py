"""For tests of servers that LangChain's chat models ask: a server of Anthropic's protocol, and what asks it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, TypeVar

import orjson

from app.catalogue.models import Server
from app.upstream.completion import Reply
from app.upstream.langchain_servers.server import LangChainServer
from app.upstream.protocol.chat import CHAT

from .fake_openai import FakeOpenAI
from .raw_server import chunk, head
from .service import Service

T = TypeVar("T")
KEY = "sk-ant-planted-key-0123456789"
MODEL = "claude-test"
MESSAGES: Any = [{"role": "user", "content": "hi"}]


def claude(url: str, key: str = KEY, provider: str = "anthropic") -> LangChainServer:
    return LangChainServer(Server("claude", url.removesuffix("/v1"), key, langchain=provider))


def use(server: LangChainServer, work: Callable[[LangChainServer], Awaitable[T]]) -> T:
    async def main() -> T:
        try:
            async with asyncio.timeout(20):
                return await work(server)
        finally:
            await server.aclose()

    return asyncio.run(main())


def body(messages: Any = MESSAGES, **members: Any) -> bytes:
    return orjson.dumps({"messages": messages, "model": MODEL, "max_tokens": 50, **members})


def ask(server: LangChainServer, messages: Any = MESSAGES, **members: Any) -> Reply:
    return use(server, lambda server: server.complete(CHAT, body(messages, **members), "alias"))


def events_of(server: LangChainServer, messages: Any = MESSAGES, **members: Any) -> list[bytes]:
    """The data of all events of a stream."""

    async def read(server: LangChainServer) -> list[bytes]:
        source, found = await server.open_stream(CHAT, body(messages, stream=True, **members)), list[bytes]()
        while (events := await source.read()) is not None:
            found += [event.data for event in events]
        source.finish()
        return found

    return use(server, read)


# --- a scripted server -----------------------------------------------------------------------------

BEGUN: Any = {
    "type": "message_start",
    "message": {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": "claude-real",
        "content": [],
        "stop_reason": None,
        "stop_sequence": None,
        "usage": {"input_tokens": 12, "output_tokens": 1},
    },
}
STREAM_HEAD = head("Transfer-Encoding: chunked", kind="text/event-stream")


def sent(*events: dict[str, Any]) -> bytes:
    """*events* as they stand in a stream, each in an HTTP chunk."""
    return b"".join(chunk(b"event: %b\ndata: %b\n\n" % (event["type"].encode(), orjson.dumps(event))) for event in events)


def block(index: int, start: dict[str, Any], *deltas: dict[str, Any]) -> list[dict[str, Any]]:
    """The events of one block of content."""
    pieces = [{"type": "content_block_delta", "index": index, "delta": delta} for delta in deltas]
    return [
        {"type": "content_block_start", "index": index, "content_block": start},
        *pieces,
        {"type": "content_block_stop", "index": index},
    ]


def text(index: int, *pieces: str) -> list[dict[str, Any]]:
    return block(index, {"type": "text", "text": ""}, *[{"type": "text_delta", "text": piece} for piece in pieces])


def called(index: int, name: str, *pieces: str) -> list[dict[str, Any]]:
    start = {"type": "tool_use", "id": f"toolu_{index}", "name": name, "input": {}}
    return block(index, start, *[{"type": "input_json_delta", "partial_json": piece} for piece in pieces])


def ended(reason: str = "end_turn", **usage: int) -> list[dict[str, Any]]:
    counted = {"input_tokens": 12, "output_tokens": 7, **usage}
    stop = {"stop_reason": reason, "stop_sequence": None}
    return [{"type": "message_delta", "delta": stop, "usage": counted}, {"type": "message_stop"}]


def streamed(*events: dict[str, Any]) -> bytes:
    """A whole answer that begins as all do."""
    return STREAM_HEAD + sent(BEGUN, *events) + chunk(b"")


# --- a service in front of it -----------------------------------------------------------------------

MODELS = """
[servers.claude]
langchain = "anthropic"
base_url = "{url}"
api_key_env = "CLAUDE_KEY"
[models.claude]
server = "claude"
model = "claude-test"
[models.plain]
server = "lab"
[servers.lab]
base_url = "{url}/v1"
"""


def service_for(folder: Path, fake: FakeOpenAI, **env: str) -> Service:
    """Not started. The model `claude` is asked in Anthropic's protocol, `plain` in OpenAI's."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "policy.toml").write_text(MODELS.format(url=fake.base_url.removesuffix("/v1")))
    own: dict[str, Any] = {"POLICY_FILE": "policy.toml", "LLM_MODEL": "claude", "CLAUDE_KEY": KEY, **env}
    return Service(folder, **own)
