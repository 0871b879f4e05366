"""What of a /v1 body reaches beyond the record: tools of other kinds, content kept on the server.

Both are looked for in the whole document, because a server may take them wherever they stand. What
is data, and never acted upon, is left out: schemas, arguments, metadata.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from ..upstream.protocol.endpoint import Endpoint
from .v1_refusals import MAX_SHOWN, foreign, shown, unsupported

TOOL_TYPES = frozenset({"function", "custom", "web_search", "web_search_preview"})
"""Of /v1/responses. Other tools reach files, containers and servers that no record holds."""
CHOICE_TYPES = TOOL_TYPES | {"allowed_tools", "auto", "none", "required", "any", "tool"}
"""What else a `tool_choice` may say. The tools that `allowed_tools` lists are looked at, too."""
DATA = frozenset(
    {"parameters", "schema", "json_schema", "input_schema", "output_schema", "properties", "$defs", "definitions"}
) | {
    "arguments",
    "metadata",
}
"""Members whose content describes something or belongs to the caller's own functions."""
FOREIGN = re.compile(r"(.*_)?(file|container|store|skill|connector|thread|assistant)_ids?|.*_reference")
"""Such members name content on the server, under the one key that all callers share: maybe
another's."""
Place = tuple["Place | None", str | int]
"""A member or an index, and the place of what it is in; a path in text would cost too much."""


def verify_reach(endpoint: Endpoint, members: Mapping[str, Any]) -> None:
    """Raises InvalidParameter. Content that a message names is `verify_messages`' to refuse."""
    pending: list[tuple[Any, Place | None, bool]] = [(members, None, False)]  # and whether it is in a message
    while pending:
        value, place, is_message = pending.pop()
        if isinstance(value, list):
            pending.extend((item, (place, at), is_message) for at, item in enumerate(value) if isinstance(item, dict | list))
            continue
        if not is_message and (name := foreign_name(value)):
            raise foreign(_text_of((place, name)))
        for key, item in value.items():
            if isinstance(item, dict | list) and key not in DATA:
                at = (place, key)
                if key in ("tools", "tool_choice"):
                    _verify_tools(item, at, TOOL_TYPES if key == "tools" else CHOICE_TYPES)
                pending.append((item, at, is_message or (place is None and key == endpoint.messages)))


def foreign_name(value: Mapping[str, Any]) -> str | None:
    """The member of *value* that names content on the server, if one does."""
    for key, item in value.items():
        if key.endswith(("_id", "_ids", "_reference")) and item and FOREIGN.fullmatch(key):
            return key
        if key == "type" and isinstance(item, str) and item.endswith("_reference"):
            return key
        if key == "container" and isinstance(item, str):
            return key
        if key in ("container", "audio") and isinstance(item, dict) and "id" in item:  # audio: an earlier answer
            return key
    return None


def _verify_tools(value: Any, place: Place, kinds: frozenset[str]) -> None:
    for tool, where in _objects(value, place):
        kind = tool.get("type")
        is_choice_of_none = kinds is CHOICE_TYPES and kind is None
        if not is_choice_of_none and not (isinstance(kind, str) and kind in kinds):
            raise unsupported(_text_of((where, "type")), f"is not allowed here: tools are {', '.join(sorted(TOOL_TYPES))}.")


def _objects(value: Any, place: Place) -> Iterator[tuple[dict[str, Any], Place]]:
    """The object *value*, or those in the list *value* and in the lists in it."""
    pending = [(value, place)]
    while pending:
        value, place = pending.pop()
        if isinstance(value, dict):
            yield value, place
        elif isinstance(value, list):
            pending.extend([(item, (place, at)) for at, item in enumerate(value)][::-1])


def _text_of(place: Place) -> str:
    """As `input[0].tools[1].type`; the end alone of one that is too long."""
    text = ""
    rest: Place | None = place
    while rest is not None and len(text) <= MAX_SHOWN:
        rest, key = rest
        name = f"[{key}]" if isinstance(key, int) else shown(key) if rest is None else f".{shown(key)}"
        text = name + text
    return text if rest is None else f"…{text[-MAX_SHOWN:]}"
