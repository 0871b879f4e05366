"""Answers of servers of Anthropic's protocol, plain and streamed, usual and odd: for comparing what an SDK sees of them."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from .answer_shapes import FAILED, RENAMED, SAVED, UNFINISHED

FAILED_EVENT = "An error in a stream of `/v1/messages` is `event: error`, with our sentence and code."


@dataclass(frozen=True)
class Shape:
    """An answer. Streamed ones have several *pieces*."""

    name: str
    pieces: tuple[str, ...]
    is_stream: bool = True
    difference: str | None = None
    """As in `answer_shapes.Shape`."""


def event(kind: str, **members: Any) -> str:
    return f"event: {kind}\ndata: {json.dumps({'type': kind, **members})}\n\n"


def started(index: int = 0, **block: Any) -> str:
    return event("content_block_start", index=index, content_block={"type": "text", "text": "", **block})


def delta(kind: str, index: int = 0, **members: Any) -> str:
    return event("content_block_delta", index=index, delta={"type": kind, **members})


def stopped(index: int = 0) -> str:
    return event("content_block_stop", index=index)


def changed(reason: Any = "end_turn", **more: Any) -> str:
    return event("message_delta", delta={"stop_reason": reason, "stop_sequence": None}, **{"usage": {"output_tokens": 5}, **more})


MESSAGE: dict[str, Any] = {
    "id": "msg_1",
    "type": "message",
    "role": "assistant",
    "model": "m",
    "content": [],
    "stop_reason": None,
}
USAGE = {"input_tokens": 3, "output_tokens": 1}


def begun(**more: Any) -> str:
    return event("message_start", message={**MESSAGE, "usage": USAGE, **more})


def answer(*content: Any, **more: Any) -> str:
    return json.dumps({**MESSAGE, "content": list(content), "stop_reason": "end_turn", "usage": USAGE, **more})


BEGUN, PING, END = begun(), event("ping"), changed() + event("message_stop")
HEL, LO = delta("text_delta", text="Hel"), delta("text_delta", text="lo")
TEXT = (started(), HEL, LO, stopped())
CALL = {"type": "tool_use", "id": "t", "name": "weather", "input": {}}
HALVES = [delta("input_json_delta", 1, partial_json=piece) for piece in ("", '{"city": "R', 'ome"}')]
CITATION = {"type": "char_location", "cited_text": "Hi", "document_index": 0, "start_char_index": 0, "end_char_index": 2}
THOUGHT = {"type": "thinking", "thinking": "", "signature": ""}
ERROR = {"type": "overloaded_error", "message": "x"}

STREAMS: dict[str, tuple[str, ...]] = {
    "text": (BEGUN, *TEXT, END),
    "pings and comments": (BEGUN, PING, ": hi\n\n", *TEXT, PING, END),
    "a call in pieces": (BEGUN, *TEXT, started(1, **CALL), *HALVES, stopped(1), changed("tool_use"), event("message_stop")),
    "thinking": (
        BEGUN,
        started(0, **THOUGHT),
        delta("thinking_delta", thinking="h"),
        delta("thinking_delta", thinking="m"),
        delta("signature_delta", signature="c2ln"),
        stopped(),
        started(1),
        delta("text_delta", 1, text="Hello"),
        stopped(1),
        END,
    ),
    "citations": (BEGUN, started(citations=[]), HEL, delta("citations_delta", citation=CITATION), stopped(), END),
    "an unknown event": (BEGUN, event("x_event", note="n"), *TEXT, END),
    "an unknown delta": (BEGUN, started(), delta("x_delta", x="y"), stopped(), END),
    "an unknown block": (BEGUN, started(0, type="x_block", x={"y": "z"}), stopped(), END),
    "no content": (BEGUN, END),
    "no usage": (begun(usage=None), *TEXT, event("message_delta", delta={"stop_reason": "end_turn"}), event("message_stop")),
    "odd usage": (begun(usage={"input_tokens": "3"}), *TEXT, changed(usage={"output_tokens": -1}), event("message_stop")),
    "a stop sequence": (BEGUN, *TEXT, event("message_delta", delta={"stop_sequence": "END"}, usage={}), event("message_stop")),
    "half an emoji": (BEGUN, started(), delta("text_delta", text="\ud83d"), delta("text_delta", text="\ude00"), stopped(), END),
    "a lone surrogate": (BEGUN, started(), delta("text_delta", text="a\ud83db"), stopped(), END),
    "CR and LF": ("".join((BEGUN, *TEXT, END)).replace("\n", "\r\n"),),
    "no space after the colon": ("".join((BEGUN, *TEXT, END)).replace(": ", ":"),),
    "ids": ("id: 1\n" + BEGUN, *TEXT, "id: 2\n" + END),
    "events without names": (BEGUN, *TEXT, END.replace("event: message_delta\n", "")),
    "a member twice": (BEGUN, started(), HEL.replace('"text": "Hel"', '"text": "Bye", "text": "Hel"'), stopped(), END),
    "an end marker after it": (BEGUN, *TEXT, END, "data: [DONE]\n\n"),
}
PLAIN: dict[str, str] = {
    "text": answer({"type": "text", "text": "Hello"}),
    "a call": answer({"type": "text", "text": "a"}, {**CALL, "input": {"city": "Rome"}}, stop_reason="tool_use"),
    "thinking": answer({**THOUGHT, "thinking": "hm", "signature": "c2ln"}, {"type": "text", "text": "Hello"}),
    "citations": answer({"type": "text", "text": "Hello", "citations": [CITATION]}),
    "no content": answer(),
    "an unknown block": answer({"type": "x_block", "x": ["y"]}),
    "unknown members": answer({"type": "text", "text": "Hello"}, mood="calm", container={"id": "c"}),
    "no usage": answer({"type": "text", "text": "Hello"}, usage=None),
    "a lone surrogate": answer({"type": "text", "text": "a\ud83db"}),
    "a member twice": answer({"type": "text", "text": "Hello"}).replace('"text": "Hello"', '"text": "Bye", "text": "Hello"'),
}
DIFFERENT = [
    Shape("no newline at the end", (BEGUN, *TEXT, END[:-2]), difference=SAVED),
    Shape("no end at all", (BEGUN, *TEXT), difference=UNFINISHED),
    Shape("an error event", (BEGUN, *TEXT, event("error", error=ERROR)), difference=FAILED_EVENT),
    Shape("a path for a name", (answer(model="/srv/m.gguf"),), is_stream=False, difference=RENAMED),
    Shape("an error with status 200", (json.dumps({"type": "error", "error": ERROR}),), is_stream=False, difference=FAILED),
]
SHAPES = [
    *(Shape(name, pieces) for name, pieces in STREAMS.items()),
    *(Shape(name, (body,), is_stream=False) for name, body in PLAIN.items()),
    *DIFFERENT,
]
