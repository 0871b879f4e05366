"""The fake's answers on /v1/responses: the document and the events that build it, in the shapes of the real API."""

from __future__ import annotations

from typing import Any

import orjson

from .fake_answers import CREATED, SCRIPT, Asked, Events, Reply, text_of

USAGE = orjson.Fragment(
    b'{"input_tokens":12,"input_tokens_details":{"cached_tokens":0,"cache_write_tokens":0},'
    b'"output_tokens":7,"output_tokens_details":{"reasoning_tokens":0},"total_tokens":19}'
)
ECHOED: dict[str, Any] = {  # members that an answer repeats from its request, with the API's defaults
    "instructions": None,
    "max_output_tokens": None,
    "metadata": {},
    "parallel_tool_calls": True,
    "previous_response_id": None,
    "reasoning": {"effort": None, "summary": None},
    "store": True,
    "temperature": 1.0,
    "text": {"format": {"type": "text"}},
    "tool_choice": "auto",
    "tools": [],
    "top_p": 1.0,
    "truncation": "disabled",
    "user": None,
}


def response_document(asked: dict[str, Any], number: int, chunks: int | None, usage: bool) -> bytes:
    """The plain answer to call *number*."""
    return orjson.dumps(_completed(asked, number, _item(_asked(asked).reply(chunks), number), usage))


def response_events(asked: dict[str, Any], number: int, chunks: int | None, usage: bool) -> Events:
    """The same answer as a stream. It ends with the event that holds the whole answer; there is no [DONE]."""
    reply = _asked(asked).reply(chunks)
    pieces = reply.pieces(chunks)
    item, begun = _item(reply, number), _document(asked, number)
    empty: dict[str, Any] = {"arguments": ""} if reply.tool else {"content": []}
    started = {**item, "status": "in_progress", **empty}
    opening: list[dict[str, Any]] = [
        {"type": "response.created", "response": begun},
        {"type": "response.in_progress", "response": begun},
        {"type": "response.output_item.added", "output_index": 0, "item": started},
    ]
    place: dict[str, Any] = {"item_id": item["id"], "output_index": 0}
    if reply.tool:
        content = [{"type": "response.function_call_arguments.delta", **place, "delta": piece} for piece in pieces]
        closing = [{"type": "response.function_call_arguments.done", **place, "name": reply.tool, "arguments": reply.text}]
    else:
        place["content_index"] = 0
        part = {"type": "output_text", "text": "", "annotations": [], "logprobs": []}
        opening.append({"type": "response.content_part.added", **place, "part": part})
        content = [{"type": "response.output_text.delta", **place, "delta": piece, "logprobs": []} for piece in pieces]
        closing = [
            {"type": "response.output_text.done", **place, "text": reply.text, "logprobs": []},
            {"type": "response.content_part.done", **place, "part": {**part, "text": reply.text}},
        ]
    closing.append({"type": "response.output_item.done", "output_index": 0, "item": item})
    end = {"type": "response.completed", "response": _completed(asked, number, item, usage)}
    events = [_event(event, number) for number, event in enumerate([*opening, *content, *closing, end])]
    first, last = len(opening), len(opening) + len(content)
    return Events(events[:first], events[first:last], events[last:-1], events[-1], _error)


def _event(event: dict[str, Any], number: int) -> bytes:
    kind = event.pop("type")
    data = orjson.dumps({"type": kind, "sequence_number": number, **event})
    return b"event: %b\ndata: %b\n\n" % (kind.encode(), data)


def _error(number: int) -> bytes:
    return _event({"type": "error", "code": "injected", "message": "injected", "param": None}, number)


def _asked(asked: dict[str, Any]) -> Asked:
    given = asked["input"]
    last = given[-1] if isinstance(given, list) else {"content": given}
    after_tool = last.get("type") == "function_call_output"
    tools = [tool for tool in asked.get("tools") or () if tool["type"] == "function"]
    query = last["output"] if after_tool else last.get("content")
    wanted = (asked.get("text") or {}).get("format")
    return Asked(text_of(query), tools, asked.get("tool_choice"), after_tool, wanted, asked.get(SCRIPT))


def _item(reply: Reply, number: int) -> dict[str, Any]:
    if reply.tool:
        call = {"id": f"fc_{number}", "type": "function_call", "status": "completed", "arguments": reply.text}
        return {**call, "call_id": f"call_{number}_0", "name": reply.tool}
    part = {"type": "output_text", "text": reply.text, "annotations": [], "logprobs": []}
    return {"id": f"msg_{number}", "type": "message", "status": "completed", "role": "assistant", "content": [part]}


def _document(asked: dict[str, Any], number: int) -> dict[str, Any]:
    echoed = {name: default if asked.get(name) is None else asked[name] for name, default in ECHOED.items()}
    answer = {"id": f"resp_{number}", "object": "response", "created_at": CREATED, "status": "in_progress", "background": False}
    answer |= {"error": None, "incomplete_details": None, "model": asked["model"], "output": [], "service_tier": "default"}
    return answer | echoed | {"usage": None}


def _completed(asked: dict[str, Any], number: int, item: dict[str, Any], usage: bool) -> dict[str, Any]:
    answer = {**_document(asked, number), "status": "completed", "output": [item]}
    return answer | {"usage": USAGE if usage else None}
