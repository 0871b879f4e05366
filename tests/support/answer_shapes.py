"""Answers of servers of OpenAI's protocol, plain and streamed, usual and odd: for comparing what an SDK sees of them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

SKIPPED = "An event with nothing in it is skipped."
UNFINISHED = "A stream that ends without saying so is an error."
EMPTY = "An answer without a choice or an output is an error."
SAVED = "The last event of a stream needs no blank line, and a byte order mark before the first one is ignored."
FAILED = "An error has our status and sentence, and the server's code where it is a known word."
FAILED_EVENT = "An error in a stream of `/v1/responses` is always `response.failed`."
RENAMED = "A model's name that is a path on the server's machine is replaced by the name that the caller used."
Endpoint = Literal["chat", "responses"]


@dataclass(frozen=True)
class Shape:
    """An answer. Streamed ones have several *pieces*."""

    name: str
    endpoint: Endpoint
    pieces: tuple[str, ...]
    is_stream: bool = False
    difference: str | None = None
    """Why an SDK sees something else through the service, in the words of docs/explanation/streaming.md."""


# --- the parts of answers --------------------------------------------------------------------------


def data(document: Any) -> str:
    return f"data: {json.dumps(document)}\n\n"


BOTH_END: list[Any] = [{"index": index, "delta": {}, "finish_reason": "stop"} for index in (0, 1)]


def chunk(delta: Any = None, finish: Any = None, **more: Any) -> str:
    choice = {"index": 0, "delta": {} if delta is None else delta, "finish_reason": finish}
    return data({"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m", "choices": [choice], **more})


def says(text: Any, index: int = 0) -> str:
    return chunk(choices=[{"index": index, "delta": {"content": text}, "finish_reason": None}])


def calls(*parts: dict[str, Any]) -> str:
    return chunk({"tool_calls": list(parts)})


def part(index: int | None, call_id: str | None, name: str | None, arguments: str) -> dict[str, Any]:
    known = {"index": index, "id": call_id, "type": "function" if call_id else call_id}
    function = {"name": name, "arguments": arguments}
    return {key: value for key, value in {**known, "function": function}.items() if value is not None}


A, B, STOP, DONE = says("Hel"), says("lo"), chunk(finish="stop"), "data: [DONE]\n\n"
WEATHER, TIME = part(0, "t", "weather", "{}"), part(0, "u", "time", "[]")
END, CALLED = STOP + DONE, chunk(finish="tool_calls") + DONE
ODD_USAGE = {"prompt_tokens": "3", "completion_tokens": -5, "total_tokens": None}
USAGE = {"prompt_tokens": 3, "completion_tokens": 5, "total_tokens": 8}
THINKING = {"type": "thinking", "thinking": [{"type": "text", "text": "hm"}]}


def message(content: Any = "Hello", finish: str = "stop", **more: Any) -> dict[str, Any]:
    return {"index": 0, "finish_reason": finish, "message": {"role": "assistant", "content": content, **more}}


def answer(*choices: Any, **more: Any) -> str:
    known = {"id": "c", "object": "chat.completion", "created": 1, "model": "m", "choices": list(choices), "usage": USAGE}
    return json.dumps({**known, **more})


TOLD = {"type": "message", "id": "i", "role": "assistant", "status": "completed"}
ITEM = {**TOLD, "content": [{"type": "output_text", "text": "Hello", "annotations": []}]}
OTHER = {**TOLD, "content": [{"type": "output_text", "text": "Goodbye", "annotations": []}]}
CALL = {"type": "function_call", "id": "f", "call_id": "t", "name": "weather", "arguments": "{}", "status": "completed"}
REASONING = {"type": "reasoning", "id": "g", "summary": [{"type": "summary_text", "text": "hm"}]}


def response(*output: Any, **more: Any) -> dict[str, Any]:
    usage = {"input_tokens": 3, "output_tokens": 5, "total_tokens": 8}
    known = {"id": "r", "object": "response", "created_at": 1, "status": "completed", "model": "m", "error": None}
    return {**known, "output": list(output), "usage": usage, **more}


def event(kind: str, **members: Any) -> str:
    return f"event: {kind}\ndata: {json.dumps({'type': kind, **members})}\n\n"


BEGUN = event("response.created", response=response(status="in_progress", usage=None))
DELTAS = "".join(
    event("response.output_text.delta", item_id="i", output_index=0, content_index=0, delta=one) for one in ("Hel", "lo")
)
ITEM_DONE = event("response.output_item.done", output_index=0, item=ITEM)
CALL_EVENTS = (
    event("response.output_item.added", output_index=1, item={**CALL, "arguments": ""}),
    event("response.function_call_arguments.delta", item_id="f", output_index=1, delta="{}"),
    event("response.output_item.done", output_index=1, item=CALL),
)


def completed(*output: Any, **more: Any) -> str:
    return event("response.completed", response=response(*output, **more))


# --- the shapes ------------------------------------------------------------------------------------


CHAT_STREAMS: dict[str, tuple[str, ...]] = {
    "text": (A, B, END),
    "one chunk": (chunk({"role": "assistant", "content": "Hello"}, "stop"), DONE),
    "usage at the end": (A, STOP, chunk(choices=[], usage=USAGE), DONE),
    "usage with the finish": (A, chunk(finish="stop", usage=USAGE), DONE),
    "usage in every chunk": (chunk({"content": "Hello"}, usage=USAGE), chunk(finish="stop", usage=USAGE), DONE),
    "counts as texts": (
        A,
        STOP,
        chunk(choices=[], usage=ODD_USAGE),
        DONE,
    ),
    "null usage": (chunk({"content": "Hello"}, usage=None), STOP, DONE),
    "two choices": (
        says("a", 0),
        says("b", 1),
        chunk(choices=BOTH_END),
        DONE,
    ),
    "a call in pieces": (
        calls(part(0, "t", "weather", "")),
        calls(part(0, None, None, "{")),
        calls(part(0, None, None, "}")),
        CALLED,
    ),
    "calls at two indices": (calls(WEATHER, {**TIME, "index": 1}), CALLED),
    "calls at one index": (calls(WEATHER), calls(TIME), CALLED),
    "a name in every delta": (calls(part(0, "t", "weather", "{")), calls(part(0, "t", "weather", "}")), CALLED),
    "a name in pieces": (calls(part(0, "t", "get_", "")), calls(part(0, None, "weather", "{}")), CALLED),
    "an empty id later": (calls(part(0, "t", "weather", "{")), calls(part(0, "", "", "}")), CALLED),
    "a call without an index": (calls(part(None, "t", "weather", "{}")), CALLED),
    "message in place of delta": (chunk(choices=[message("Hello")]), DONE),
    "content in parts": (says([THINKING]), says([{"type": "text", "text": "Hel"}]), B, END),
    "reasoning": (chunk({"reasoning_content": "hm"}), A, END),
    "a refusal": (chunk({"refusal": "No."}), END),
    "unknown members": (chunk({"content": "Hello", "mood": "calm"}, provider="p", timings={"ms": 1}), END),
    "annotations": (chunk({"content": "Hello", "annotations": [{"url": "https://a.example"}]}), END),
    "audio": (chunk({"audio": {"id": "a", "data": "AAAA", "transcript": "Hello"}}), END),
    "half an emoji": (A, says("\ud83d"), says("\ude00"), END),
    "a lone surrogate": (says("a\ud83db"), END),
    "comments": (": ping\n\n", A, ":\n\n", B, END),
    "an empty object": (A, "data: {}\n\n", B, END),
    "null choices": (A, data({"choices": None}), B, END),
    "no choices": (A, data({"type": "ping", "cost": 0}), B, END),
    "a named event": (A, "event: ping\ndata: {}\n\n", B, END),
    "null index": (chunk(choices=[{"index": None, "delta": {"content": "Hello"}, "finish_reason": None}]), END),
    "null delta": (chunk(choices=[{"index": 0, "delta": None, "finish_reason": None}]), A, END),
    "an empty finish reason": (chunk({"content": "Hello"}, ""), END),
    "a verdict first": (chunk(choices=[], prompt_filter_results=[{"prompt_index": 0}]), A, END),
    "no end marker": (A, B, STOP),
    "no finish reason": (A, B, DONE),
    "CR and LF": ((A + B + END).replace("\n", "\r\n"),),
    "CR": ((A + B + END).replace("\n", "\r"),),
    "ids and retries": ("id: 1\nretry: 5\n" + A, "id: 2\n" + B, END),
    "data in two lines": ('data: {"id": "c", "choices": [{"index": 0,\ndata: "delta": {"content": "Hello"}}]}\n\n', END),
    "no space after the colon": ((A + B + END).replace("data: ", "data:"),),
    "a member twice": (A.replace('"content": "Hel"', '"content": "Bye", "content": "Hel"'), B, END),
}
RESPONSES_STREAMS: dict[str, tuple[str, ...]] = {
    "text": (BEGUN, DELTAS, ITEM_DONE, completed(ITEM)),
    "a call": (BEGUN, *CALL_EVENTS, completed(CALL)),
    "an empty output": (BEGUN, DELTAS, ITEM_DONE, *CALL_EVENTS, completed()),
    "another text": (BEGUN, DELTAS, ITEM_DONE, completed(OTHER)),
    "reasoning": (BEGUN, DELTAS, completed(REASONING, ITEM)),
    "incomplete": (BEGUN, DELTAS, event("response.incomplete", response=response(ITEM, status="incomplete"))),
    "odd usage": (BEGUN, DELTAS, completed(ITEM, usage={"input_tokens": -1, "output_tokens": None, "total_tokens": "8"})),
    "pings": (BEGUN, ": ping\n\n", event("ping"), DELTAS, completed(ITEM)),
    "an end marker": (BEGUN, DELTAS, completed(ITEM), DONE),
    "half an emoji": (BEGUN, DELTAS.replace("Hel", "\\ud83d").replace("lo", "\\ude00"), completed()),
}
PLAIN_CHATS: dict[str, str] = {
    "text": answer(message()),
    "a call": answer(message(None, "tool_calls", tool_calls=[part(None, "t", "weather", "{}")])),
    "two choices": answer(message("a"), {**message("b"), "index": 1}),
    "content in parts": answer(message([THINKING, {"type": "text", "text": "Hello"}])),
    "reasoning": answer(message(reasoning_content="hm")),
    "null content": answer(message(None)),
    "no usage": answer(message(), usage=None),
    "odd usage": answer(message(), usage={"prompt_tokens": "3", "completion_tokens": 1e300, "total_tokens": -1}),
    "a lone surrogate": answer(message("a\ud83db")),
    "a member twice": answer(message()).replace('"content": "Hello"', '"content": "Bye", "content": "Hello"'),
    "unknown members": answer(message(mood="calm"), provider="p"),
    "an odd model": answer(message(), model=7),
}
PLAIN_RESPONSES: dict[str, str] = {
    "text": json.dumps(response(ITEM)),
    "a call": json.dumps(response(ITEM, CALL)),
    "reasoning": json.dumps(response(REASONING, ITEM)),
    "incomplete": json.dumps(response(ITEM, status="incomplete", incomplete_details={"reason": "max_output_tokens"})),
    "odd usage": json.dumps(response(ITEM, usage=None)),
}
FAILURE = response(status="failed", error={"code": "rate_limit_exceeded", "message": "x"})
ERROR = {"error": {"message": "x", "code": "y"}}
DIFFERENT = [
    Shape("empty data", "chat", (A, "data:\n\n", "data: \n\n", B, END), True, SKIPPED),
    Shape("an empty ping", "chat", (A, "event: ping\ndata:\n\n", B, END), True, SKIPPED),
    Shape("null data", "chat", (A, "data: null\n\n", "data: []\n\n", "data: 7\n\n", B, END), True, SKIPPED),
    Shape("no blank line at the end", "chat", (A, B, STOP[:-1]), True, SAVED),
    Shape("no newline at the end", "chat", (A, B, STOP[:-2]), True, SAVED),
    Shape("no blank line at the end", "responses", (BEGUN, DELTAS, completed(ITEM)[:-1]), True, SAVED),
    Shape("a byte order mark", "chat", ("\ufeff" + A, B, END), True, SAVED),
    Shape("failed", "responses", (BEGUN, event("response.failed", response=FAILURE)), True, FAILED_EVENT),
    Shape("nothing but the end marker", "chat", (DONE,), True, EMPTY),
    Shape("no end at all", "chat", (A, B), True, UNFINISHED),
    Shape("no end at all", "responses", (BEGUN, DELTAS), True, UNFINISHED),
    Shape("an error in the stream", "chat", (A, data(ERROR)), True, FAILED),
    Shape("an event that is no JSON", "chat", (A, "data: no JSON\n\n"), True, FAILED),
    Shape("an error event", "responses", (BEGUN, event("error", code="y", message="x", param=None)), True, FAILED_EVENT),
    Shape("no choices", "chat", (answer(),), False, EMPTY),
    Shape("an error with status 200", "chat", (json.dumps(ERROR),), False, FAILED),
    Shape(
        "failed",
        "responses",
        (json.dumps(FAILURE),),
        False,
        FAILED,
    ),
    Shape("a path for a name", "chat", (answer(message(), model="/srv/m.gguf"),), False, RENAMED),
]


def shapes() -> Iterator[Shape]:
    """All of them."""
    for name, pieces in CHAT_STREAMS.items():
        yield Shape(name, "chat", pieces, True)
    for name, pieces in RESPONSES_STREAMS.items():
        yield Shape(name, "responses", pieces, True)
    for name, body in PLAIN_CHATS.items():
        yield Shape(name, "chat", (body,))
    for name, body in PLAIN_RESPONSES.items():
        yield Shape(name, "responses", (body,))
    yield from DIFFERENT
