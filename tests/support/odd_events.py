"""For property tests: the events that a model's server may send on a stream, odd ones included, and every text in them."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

from hypothesis import strategies as st

from app.kit.event_stream import Event

Json = Any
UNIQUE = st.integers(0, 10**9).map("<{}>".format)
TEXTS = UNIQUE | st.sampled_from(["", "a", "ab", "é", "\ud83d", "\ude00", "😀", '"', "\\", '":'])
NAMES = UNIQUE | st.sampled_from(["", "ha", "ha", "get_", "weather"])
IDS = st.sampled_from([None, "", "call_a", "call_b"])
INDICES = st.sampled_from([0, 0, 1, None, "0", -1])
ODD_OBJECTS = st.dictionaries(NAMES, TEXTS, max_size=2)
ODD = st.none() | st.booleans() | st.integers(-2, 2) | TEXTS | st.lists(TEXTS | ODD_OBJECTS, max_size=2) | ODD_OBJECTS
COUNTS = st.none() | st.integers() | st.floats() | st.text(max_size=3)
NOT_SAID = frozenset({"role", "type", "finish_reason", "model", "usage", "item_id", "index", "output_index", "content_index"})
"""Members whose texts are not recorded, or not as they came."""


def members(**known: st.SearchStrategy[Json]) -> st.SearchStrategy[dict[str, Json]]:
    """An object with any of these members, and perhaps an unknown one."""
    return st.fixed_dictionaries({}, optional={**known, "x_more": ODD})


PARTS = st.lists(members(type=st.sampled_from(["text", "thinking"]), text=TEXTS, thinking=ODD, index=INDICES), max_size=2)
FUNCTIONS = members(name=NAMES, arguments=TEXTS)
CALLS = st.lists(members(index=INDICES, id=IDS, type=st.sampled_from(["function", "", None]), function=FUNCTIONS), max_size=3)
CHAT_MESSAGES = members(
    role=st.sampled_from(["assistant", "", None]),
    content=TEXTS | PARTS | ODD,
    reasoning_content=TEXTS,
    refusal=TEXTS | st.none(),
    tool_calls=CALLS | st.none(),
    function_call=FUNCTIONS,
    annotations=st.lists(members(url=TEXTS), max_size=2),
    audio=members(id=IDS, data=TEXTS, transcript=TEXTS),
    id=IDS,
    name=NAMES,
)
CHOICES = members(index=INDICES, delta=CHAT_MESSAGES | ODD, message=CHAT_MESSAGES | ODD, text=TEXTS, finish_reason=st.none())
CHUNKS = members(
    choices=st.lists(CHOICES | st.none(), max_size=2) | st.none(),
    usage=COUNTS | members(prompt_tokens=COUNTS, completion_tokens=COUNTS),
    citations=st.lists(TEXTS, max_size=2),
)

PLAIN_CHATS = st.fixed_dictionaries(
    {"choices": st.lists(CHOICES, min_size=1, max_size=2)}, optional={"citations": st.lists(TEXTS)}
)

CONTENT = st.lists(members(type=st.sampled_from(["output_text", "refusal"]), text=TEXTS, annotations=ODD), max_size=2)
TYPES = st.sampled_from(["message", "function_call", "reasoning"])
ITEMS = members(type=TYPES, id=IDS, call_id=IDS, name=NAMES, arguments=TEXTS, content=CONTENT | TEXTS)
OUTPUTS = st.lists(ITEMS, max_size=2)
KINDS = (
    *("response.output_text.delta", "response.output_text.done", "response.function_call_arguments.delta"),
    *("response.output_item.added", "response.output_item.done", "response.reasoning_summary_text.delta", "response.x", "ping"),
)
TYPED_EVENTS = members(
    type=st.sampled_from(KINDS),
    output_index=INDICES,
    content_index=INDICES,
    item_id=IDS,
    delta=TEXTS | ODD,
    text=TEXTS,
    item=ITEMS,
    response=members(output=OUTPUTS | ODD, model=st.just("m")) | ODD,
    sequence_number=st.integers(),
)

CITATIONS = members(type=st.just("char_location"), cited_text=TEXTS, document_title=TEXTS, index=INDICES)
INPUTS = ODD | st.dictionaries(NAMES, TEXTS, max_size=2)
BLOCKS = members(
    type=st.sampled_from(["text", "thinking", "tool_use", "server_tool_use", "web_search_tool_result"]),
    id=IDS,
    name=NAMES,
    text=TEXTS | ODD,
    thinking=TEXTS,
    signature=TEXTS,
    input=INPUTS,
    citations=st.none() | st.lists(CITATIONS, max_size=2),
    content=st.lists(members(type=st.just("web_search_result"), url=TEXTS, title=TEXTS), max_size=2) | TEXTS,
)
BLOCK_DELTAS = members(
    type=st.sampled_from(["text_delta", "input_json_delta", "thinking_delta", "citations_delta", "x_delta"]),
    text=TEXTS | ODD,
    partial_json=TEXTS,
    thinking=TEXTS,
    signature=TEXTS,
    citation=CITATIONS | ODD,
    content=TEXTS,
)
MESSAGE_USAGE = COUNTS | members(input_tokens=COUNTS, output_tokens=COUNTS)
MESSAGE_MEMBERS = members(
    content=st.lists(BLOCKS, max_size=1) | TEXTS, model=st.just("m"), usage=MESSAGE_USAGE, stop_sequence=TEXTS, container=ODD
)
PLAIN_MESSAGES = st.fixed_dictionaries(
    {"content": st.lists(BLOCKS, max_size=2) | TEXTS}, optional={"stop_sequence": TEXTS, "usage": MESSAGE_USAGE, "x_more": ODD}
)
MESSAGE_KINDS = ("message_start", "content_block_start", "content_block_delta", "message_delta", "ping", "x_event")
ODD_MESSAGE_EVENTS = members(
    type=st.sampled_from(MESSAGE_KINDS),
    index=INDICES,
    message=MESSAGE_MEMBERS | ODD,
    content_block=BLOCKS | ODD,
    delta=BLOCK_DELTAS | MESSAGE_MEMBERS | ODD,
    usage=MESSAGE_USAGE,
    content=ODD,
    id=IDS,
)
STARTS = st.fixed_dictionaries({"type": st.just("content_block_start"), "index": INDICES, "content_block": BLOCKS})
DELTAS = st.fixed_dictionaries({"type": st.just("content_block_delta"), "index": INDICES, "delta": BLOCK_DELTAS})
MESSAGE_EVENTS = DELTAS | STARTS | ODD_MESSAGE_EVENTS


def with_repeated_members(document: Json, first: str) -> Event:
    """The event of *document*, in which some members come twice: first with the text *first*."""
    doubled = re.sub(
        r'"(content|delta|item|arguments|name|content_block|text|message)": ', f'"\\1": "{first}", "\\1": ', json.dumps(document)
    )
    return Event(b"", doubled.encode())


def texts_in(value: Json, unless: frozenset[str] = NOT_SAID) -> Iterator[str]:
    """Every text that is not empty, but for the members *unless*."""
    if isinstance(value, str):
        yield from [value] if value else []
    elif isinstance(value, dict):
        for name, item in value.items():
            yield from () if name in unless else texts_in(item, unless)
    elif isinstance(value, list):
        for item in value:
            yield from texts_in(item, unless)


def units(text: str) -> str:
    """The UTF-16 units of a text, also of one from a record, where those that stand alone are escaped."""
    text = re.sub(r"\\u(d[89a-f][0-9a-f]{2})", lambda found: chr(int(found[1], 16)), text)
    raw = text.encode("utf-16-le", "surrogatepass")
    return "".join(chr(raw[at] | raw[at + 1] << 8) for at in range(0, len(raw), 2))


def missing(delivered: Json, recorded: Json, unless: frozenset[str] = NOT_SAID) -> list[str]:
    """The texts in *delivered*, but for the members *unless*, that stand nowhere in *recorded*."""
    known = [units(text) for text in texts_in(recorded, frozenset())]
    return [text for text in texts_in(delivered, unless) if not any(units(text) in one for one in known)]
