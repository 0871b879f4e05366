"""What the fake answers to a chat or an embedding: documents and events in the shapes of the real API.

If tools are offered and none has answered yet, the first of them (or the named one) is called; if a schema is given, the
text is a minimal instance of it; otherwise it is `completion_text` of the last message.
"""

from __future__ import annotations

import base64
import hashlib
import struct
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import orjson

from .fake_schema import instance_of

CREATED = 1_700_000_000
SCRIPT = "_script"
"""Where a request that is answered by a `Script` holds it."""
USAGE = orjson.Fragment(
    b'{"prompt_tokens":12,"completion_tokens":7,"total_tokens":19,'
    b'"prompt_tokens_details":{"cached_tokens":0,"audio_tokens":0},'
    b'"completion_tokens_details":{"reasoning_tokens":0,"audio_tokens":0,'
    b'"accepted_prediction_tokens":0,"rejected_prediction_tokens":0}}'
)


def completion_text(query: str, chunks: int | None = None) -> str:
    """The fake's answer to *query*; with more than four content chunks, five characters for each."""
    text = "echo: " + hashlib.sha256(query.encode()).hexdigest()[:16]
    if chunks is None or 0 < chunks <= 4:
        return text
    return (text * chunks)[: 5 * chunks]


@dataclass(frozen=True, slots=True)
class Events:
    """The server-sent events of one stream. `end` is the event that shows a client that the stream is complete."""

    opening: list[bytes]
    content: list[bytes]
    closing: list[bytes]
    end: bytes
    error: Callable[[int], bytes]
    """Makes the event that reports a failure, from the number of events before it."""


@dataclass(frozen=True, slots=True)
class Script:
    """What the model does for an agent: one call after the other, then *says*."""

    calls: list[tuple[str, dict[str, Any]]]
    """The tools' names and arguments. Where the next is not offered, no tool is called."""
    says: str

    def reply(self, asked: Asked) -> Reply:
        if self.calls and any(tool["name"] == self.calls[0][0] for tool in asked.tools):
            name, arguments = self.calls.pop(0)
            return Reply(_json(arguments), name)
        return Reply(self.says)


@dataclass(slots=True)
class Reply:
    """The model's reply: a text, or the arguments of a tool call."""

    text: str
    tool: str | None = None

    def pieces(self, chunks: int | None) -> list[str]:
        """The reply in *chunks* pieces (by default four), fewer if it has fewer characters."""
        number = min(len(self.text), 4 if chunks is None else max(chunks, 1))
        edges = [len(self.text) * place // number for place in range(number + 1)] if number else []
        return [self.text[start:end] for start, end in pairwise(edges)]


@dataclass(slots=True)
class Asked:
    """The parts of a request that decide the reply, at any endpoint."""

    query: str
    tools: list[dict[str, Any]]
    """Functions: `name` and `parameters`."""
    tool_choice: Any
    after_tool: bool
    format: dict[str, Any] | None
    """`type`, and `schema` where that is json_schema."""
    script: Script | None = None

    def reply(self, chunks: int | None) -> Reply:
        """Without a schema, the text is long enough for *chunks*."""
        if self.script:
            return self.script.reply(self)
        if self.tools and self.tool_choice != "none" and not self.after_tool:
            tool = self._chosen()
            return Reply(_json(instance_of(tool.get("parameters") or {"type": "object"})), tool["name"])
        if self.format and self.format["type"] == "json_schema":
            return Reply(_json(instance_of(self.format["schema"])))
        if self.format and self.format["type"] == "json_object":
            return Reply(_json({"answer": completion_text(self.query)}))
        return Reply(completion_text(self.query, chunks))

    def _chosen(self) -> dict[str, Any]:
        if not isinstance(self.tool_choice, dict) or self.tool_choice["type"] != "function":
            return self.tools[0]
        name = self.tool_choice.get("function", self.tool_choice)["name"]
        return {tool["name"]: tool for tool in self.tools}[name]


def text_of(content: Any) -> str:
    """The text of a message: a string, or the text parts of a list, joined."""
    if isinstance(content, list):
        return "".join(part["text"] for part in content if part["type"] in ("text", "input_text", "output_text"))
    return str(content or "")


def chat_document(asked: dict[str, Any], number: int, chunks: int | None, usage: bool) -> bytes:
    """The plain answer to call *number*."""
    reply = _chat(asked).reply(chunks)
    answer = {
        "id": f"chatcmpl-{number}",
        "object": "chat.completion",
        "created": CREATED,
        "model": asked["model"],
        "choices": [_choice(asked, reply, chunks, f"call_{number}_{index}", index) for index in range(asked.get("n") or 1)],
        "service_tier": "default",
        "system_fingerprint": "fp_fake",
    }
    if usage:
        answer["usage"] = USAGE
    return orjson.dumps(answer)


def chat_events(asked: dict[str, Any], number: int, chunks: int | None, usage: bool) -> Events:
    """The same answer as a stream; the chunks of several choices alternate."""
    reply, indices = _chat(asked).reply(chunks), range(asked.get("n") or 1)
    pieces = reply.pieces(chunks)
    usage = usage and bool((asked.get("stream_options") or {}).get("include_usage"))
    base = {"id": f"chatcmpl-{number}", "object": "chat.completion.chunk", "created": CREATED, "model": asked["model"]}
    base |= {"service_tier": "default", "system_fingerprint": "fp_fake", **({"usage": None} if usage else {})}

    def event(choices: list[dict[str, Any]], **more: object) -> bytes:
        return b"data: " + orjson.dumps({**base, "choices": choices, **more}) + b"\n\n"

    def delta(index: int, change: dict[str, Any], finish: str | None = None, piece: str | None = None) -> bytes:
        logprobs = _logprobs(asked, [piece]) if piece is not None and asked.get("logprobs") else None
        return event([{"index": index, "delta": change, "logprobs": logprobs, "finish_reason": finish}])

    if reply.tool:
        ids = [f"call_{number}_{index}" for index in indices]
        starts = [{"role": "assistant", "content": None, "tool_calls": [_call(reply.tool, "", ids[i], 0)]} for i in indices]
        content = [delta(i, {"tool_calls": [{"index": 0, "function": {"arguments": p}}]}) for p in pieces for i in indices]
    else:
        starts = [{"role": "assistant", "content": "", "refusal": None} for _ in indices]
        content = [delta(i, {"content": p}, piece=p) for p in pieces for i in indices]
    closing = [delta(i, {}, "tool_calls" if reply.tool else "stop") for i in indices]
    closing += [event([], usage=USAGE)] if usage else []
    opening = [delta(i, starts[i]) for i in indices]
    return Events(opening, content, closing, b"data: [DONE]\n\n", lambda _: CHAT_ERROR)


CHAT_ERROR = b'data: {"error":{"message":"injected","type":"server_error","param":null,"code":"injected"}}\n\n'


def embedding_document(asked: dict[str, Any], number: int, chunks: int | None, usage: bool) -> bytes:
    """A unit vector for each input, made from its text or tokens only; by default of 8 dimensions."""
    texts = asked["input"]
    if isinstance(texts, str) or isinstance(texts[0], int):
        texts = [texts]
    packed = [_vector(orjson.dumps(text), asked.get("dimensions") or 8) for text in texts]
    if asked.get("encoding_format") == "base64":
        vectors: list[Any] = [base64.b64encode(raw).decode() for raw in packed]
    else:
        vectors = [struct.unpack(f"<{len(raw) // 4}f", raw) for raw in packed]
    data = [{"object": "embedding", "index": index, "embedding": vector} for index, vector in enumerate(vectors)]
    tokens = sum(len(text.split()) if isinstance(text, str) else len(text) for text in texts)
    counted = {"usage": {"prompt_tokens": tokens, "total_tokens": tokens}} if usage else {}
    return orjson.dumps({"object": "list", "data": data, "model": asked["model"], **counted})


def _vector(seed: bytes, dimensions: int) -> bytes:
    """The vector as 32-bit little-endian floats."""
    numbers = struct.unpack(f"<{dimensions}i", hashlib.shake_256(seed).digest(4 * dimensions))
    length = sum(number * number for number in numbers) ** 0.5
    return struct.pack(f"<{dimensions}f", *[number / length for number in numbers])


def _chat(asked: dict[str, Any]) -> Asked:
    last = asked["messages"][-1]
    wanted = asked.get("response_format")
    if wanted and wanted["type"] == "json_schema":
        wanted = {"type": "json_schema", "schema": wanted["json_schema"].get("schema")}
    tools = [tool["function"] for tool in asked.get("tools") or () if tool["type"] == "function"]
    after = last["role"] == "tool"
    return Asked(text_of(last.get("content")), tools, asked.get("tool_choice"), after, wanted, asked.get(SCRIPT))


def _choice(asked: dict[str, Any], reply: Reply, chunks: int | None, call_id: str, index: int) -> dict[str, Any]:
    message: dict[str, Any] = {"role": "assistant", "content": reply.text, "refusal": None, "annotations": []}
    if reply.tool:
        message |= {"content": None, "tool_calls": [_call(reply.tool, reply.text, call_id)]}
        return {"index": index, "message": message, "logprobs": None, "finish_reason": "tool_calls"}
    logprobs = _logprobs(asked, reply.pieces(chunks)) if asked.get("logprobs") else None
    return {"index": index, "message": message, "logprobs": logprobs, "finish_reason": "stop"}


def _call(name: str, arguments: str, call_id: str, index: int | None = None) -> dict[str, Any]:
    place = {} if index is None else {"index": index}
    return {**place, "id": call_id, "type": "function", "function": {"name": name, "arguments": arguments}}


def _logprobs(asked: dict[str, Any], pieces: list[str]) -> dict[str, Any]:
    """Each piece is one token here."""
    tokens = [{"token": piece, "logprob": -0.25, "bytes": list(piece.encode())} for piece in pieces]
    return {
        "content": [{**token, "top_logprobs": [token] * (asked.get("top_logprobs") or 0)} for token in tokens],
        "refusal": None,
    }


def _json(document: Any) -> str:
    return orjson.dumps(document).decode()
