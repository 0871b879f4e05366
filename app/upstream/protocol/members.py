"""Members that several kinds of answers share. Whatever stands there, the answer can be read."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ...kit.event_stream import Event
from ...kit.foreign_json import dumps
from ..completion import Usage

MAX_MODEL_NAME = 500
MAX_WORD = 100
MAX_TOKENS = 2**53
"""Of a count. JavaScript cannot tell larger numbers apart."""


DETAILS = ("prompt_tokens_details", "input_tokens_details"), ("completion_tokens_details", "output_tokens_details")


def safe_model_name(document: Mapping[str, Any], alias: str) -> str:
    """The model's name as the server gives it.

    *alias* if it gives none, or a path on its own machine, as llama.cpp may.
    """
    name = document.get("model")
    if not isinstance(name, str) or not 0 < len(name) <= MAX_MODEL_NAME or not _is_unicode(name):
        return alias
    return alias if _is_path(name) else name


def replace_model_path(document: dict[str, Any], alias: str) -> bool:
    """Replace a path in *document*'s `model` by *alias*. Returns whether there was one."""
    name = document.get("model")
    if isinstance(name, str) and _is_path(name):
        document["model"] = alias
        return True
    return False


def cleaned(event: Event, document: dict[str, Any], part: Any, alias: str) -> Event:
    """*event*, which holds *document*: without another gateway's receipt, and without a path as the
    model's name in *part* of it."""
    is_changed = "receipt" in document
    document.pop("receipt", None)
    if isinstance(part, dict):
        is_changed = replace_model_path(part, alias) or is_changed
    return Event(event.name, dumps(document)) if is_changed else event


def finish_reason(value: Any) -> str | None:
    """The server's word, cut if it is long; None if there is none yet."""
    if not value:
        return None
    if not isinstance(value, str | int):
        return "unknown"
    return str(value)[:MAX_WORD].encode("utf-8", "backslashreplace").decode()


def with_events(members: dict[str, Any], events: list[Any]) -> dict[str, Any]:
    """*members* of a message or block with the *events* that gave them, as a record holds them."""
    return {"read_as": members, "events": events} if "events" in members else {**members, "events": events}


def one_or_all(values: list[Any]) -> Any:
    """The only value of *values*, or the list where there are several or none."""
    return values[0] if len(values) == 1 else values


def read_usage(counts: Any, input_name: str, output_name: str | None) -> Usage | None:
    """None where the server did not count, or gives something else than counts.

    Without *output_name* the output is 0 tokens.
    """
    if not isinstance(counts, dict):
        return None
    tokens = counts.get(input_name), counts.get(output_name) if output_name else 0
    if any(type(count) is not int or not 0 <= count <= MAX_TOKENS for count in tokens):
        return None
    return _with_parts(counts, *tokens)  # type: ignore[arg-type]  # both are int, by the line above


def _with_parts(counts: Mapping[str, Any], input_tokens: int, output_tokens: int) -> Usage:
    """With the counts of OpenAI's details, and of Anthropic's cache, which are beside the input.

    Some servers count what the caller does not see in the total alone.
    """
    if len(counts) <= 3 and counts.get("total_tokens") == input_tokens + output_tokens:  # nearly always
        return Usage(input_tokens, output_tokens)
    read, written = _count(counts, "cache_read_input_tokens"), _count(counts, "cache_creation_input_tokens")
    total = _count(counts, "total_tokens")
    more = max(0, total - input_tokens - output_tokens - read - written) if total else 0
    inputs, outputs = (_details(counts, *names) for names in DETAILS)
    found = min(_count(inputs, "cached_tokens"), input_tokens)
    cached, written_too = read + found, min(_count(inputs, "cache_write_tokens"), input_tokens - found)
    reasoning = min(_count(outputs, "reasoning_tokens"), output_tokens + more)
    return Usage(input_tokens, output_tokens, (read + written, more), cached, written + written_too, reasoning)


def _details(counts: Mapping[str, Any], *names: str) -> Mapping[str, Any]:
    return next((counts[name] for name in names if isinstance(counts.get(name), dict)), {})


def _count(counts: Mapping[str, Any], name: str) -> int:
    count = counts.get(name)
    return count if type(count) is int and 0 <= count <= MAX_TOKENS else 0


def _is_path(name: str) -> bool:
    return name.startswith(("/", ".", "~")) or "\\" in name or name.endswith(".gguf")


def _is_unicode(name: str) -> bool:
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True
