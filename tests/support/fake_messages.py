"""The fake's answers on /v1/messages (and its counts) and /v1/completions, in the shapes of the real APIs."""

from __future__ import annotations

from typing import Any

import orjson

from .fake_answers import CHAT_ERROR, CREATED, SCRIPT, USAGE, Asked, Events, Reply, completion_text, text_of

COUNTED = 12
"""Tokens of every prompt."""
BEGUN_USAGE = {"input_tokens": COUNTED, "cache_creation_input_tokens": 0, "cache_read_input_tokens": 0, "output_tokens": 1}
INJECTED = b'{"type":"error","error":{"type":"api_error","message":"injected"},"request_id":"req_fake"}'


def message_document(asked: dict[str, Any], number: int, chunks: int | None, usage: bool) -> bytes:
    """The plain answer to call *number*."""
    reply = _asked(asked).reply(chunks)
    counted = {"usage": {**BEGUN_USAGE, "output_tokens": 7}} if usage else {}
    return orjson.dumps({**_message(asked, number), "content": [_block(reply, number)], **_stop(reply), **counted})


def message_events(asked: dict[str, Any], number: int, chunks: int | None, usage: bool) -> Events:
    """The same answer as a stream. It ends with message_stop; there is no [DONE]."""
    reply = _asked(asked).reply(chunks)
    nothing: dict[str, Any] = {"input": {}} if reply.tool else {"text": ""}
    empty = {**_block(reply, number), **nothing}
    begun = {**_message(asked, number), "content": [], "stop_reason": None, **({"usage": BEGUN_USAGE} if usage else {})}
    opening = [_event("message_start", message=begun), _event("content_block_start", index=0, content_block=empty)]
    kind, name = ("input_json_delta", "partial_json") if reply.tool else ("text_delta", "text")
    content = [_event("content_block_delta", index=0, delta={"type": kind, name: piece}) for piece in reply.pieces(chunks)]
    counted: dict[str, Any] = {"usage": {**BEGUN_USAGE, "output_tokens": 7}} if usage else {}
    closing = [_event("content_block_stop", index=0), _event("message_delta", delta=_stop(reply), **counted)]
    return Events([*opening, _event("ping")], content, closing, _event("message_stop"), lambda _: _sent("error", INJECTED))


def count_document(asked: dict[str, Any], number: int, chunks: int | None, usage: bool) -> bytes:
    return orjson.dumps({"input_tokens": COUNTED})


def text_document(asked: dict[str, Any], number: int, chunks: int | None, usage: bool) -> bytes:
    """The plain answer of /v1/completions."""
    choices = [_choice(index, text, "stop") for index, text in enumerate(_texts(asked, chunks))]
    return orjson.dumps({**_completion(asked, number), "choices": choices, **({"usage": USAGE} if usage else {})})


def text_events(asked: dict[str, Any], number: int, chunks: int | None, usage: bool) -> Events:
    base, texts = _completion(asked, number), _texts(asked, chunks)

    def event(choices: list[Any], **more: Any) -> bytes:
        return b"data: " + orjson.dumps({**base, "choices": choices, **more}) + b"\n\n"

    content = [event([_choice(at, piece, None)]) for at, text in enumerate(texts) for piece in Reply(text).pieces(chunks)]
    closing = [event([_choice(at, "", "stop")]) for at in range(len(texts))]
    is_counted = usage and bool((asked.get("stream_options") or {}).get("include_usage"))
    closing += [event([], usage=USAGE)] if is_counted else []
    return Events([], content, closing, b"data: [DONE]\n\n", lambda _: CHAT_ERROR)


def _event(kind: str, **members: Any) -> bytes:
    return _sent(kind, orjson.dumps({"type": kind, **members}))


def _sent(kind: str, data: bytes) -> bytes:
    return b"event: %b\ndata: %b\n\n" % (kind.encode(), data)


def _asked(asked: dict[str, Any]) -> Asked:
    last = asked["messages"][-1]["content"]
    results = [part for part in last if part["type"] == "tool_result"] if isinstance(last, list) else []
    tools = [{"name": tool["name"], "parameters": tool.get("input_schema")} for tool in asked.get("tools") or ()]
    choice: Any = asked.get("tool_choice") or {}
    wanted = {"type": "function", "name": choice["name"]} if choice.get("type") == "tool" else choice.get("type")
    query = text_of(results[-1].get("content")) if results else text_of(last)
    form = (asked.get("output_config") or {}).get("format")
    return Asked(query, tools, wanted, bool(results), form, asked.get(SCRIPT))


def _block(reply: Reply, number: int) -> dict[str, Any]:
    if reply.tool:
        return {"type": "tool_use", "id": f"toolu_{number}", "name": reply.tool, "input": orjson.loads(reply.text)}
    return {"type": "text", "text": reply.text}


def _message(asked: dict[str, Any], number: int) -> dict[str, Any]:
    return {"id": f"msg_{number}", "type": "message", "role": "assistant", "model": asked["model"], "stop_sequence": None}


def _stop(reply: Reply) -> dict[str, Any]:
    return {"stop_reason": "tool_use" if reply.tool else "end_turn", "stop_sequence": None}


def _completion(asked: dict[str, Any], number: int) -> dict[str, Any]:
    return {"id": f"cmpl-{number}", "object": "text_completion", "created": CREATED, "model": asked["model"]}


def _texts(asked: dict[str, Any], chunks: int | None) -> list[str]:
    """For each prompt, and each of the answers to it that are wanted."""
    prompts = asked["prompt"]
    if isinstance(prompts, str) or isinstance(prompts[0], int):
        prompts = [prompts]
    return [completion_text(str(prompt), chunks) for prompt in prompts for _ in range(asked.get("n") or 1)]


def _choice(index: int, text: str, finish: str | None) -> dict[str, Any]:
    return {"text": text, "index": index, "logprobs": None, "finish_reason": finish}
