"""The members of chat answers, plain and in chunks: which a record keeps, and how."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from .content import LABELS, says_anything
from .members import one_or_all, with_events

DOCUMENT = LABELS | {"id", "created", "model", "choices", "usage", "system_fingerprint", "service_tier", "error", "receipt"}
PLAIN_CHOICE = frozenset({"index", "message", "finish_reason", "logprobs"})
CHOICE = frozenset({"index", "delta", "message", "finish_reason", "logprobs"})
"""What the protocol itself has there. A record keeps the texts of all other members, too."""
_PLACES = ("delta", "message")


def message_of(choice: dict[str, Any], place: str) -> dict[str, Any]:
    """The message, or the delta of one, in *choice*: at *place*, or where other servers put it."""
    for name in (place, *_PLACES):
        if isinstance(found := choice.get(name), dict):
            return found
    text = choice.get("text")  # as in the older /completions
    return {"text": text} if isinstance(text, str | int | float) else {}


def index_of(choice: dict[str, Any], place: int) -> int:
    """The index of a choice: its own, or its *place* in the list."""
    index = choice.get("index")
    if isinstance(index, str) and index.isdecimal() and len(index) < 5:
        return int(index)
    return index if type(index) is int else place


def further_in_choice(choice: dict[str, Any], index: int, message: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    """As `further`, of a choice whose message is *message*."""
    for name, value in choice.items():
        is_known = name in CHOICE if name not in _PLACES else value is message
        if not is_known and not (name == "text" and message == {"text": value}) and says_anything(value):
            yield f"choices[{index}].{name}", value


def recorded(messages: list[tuple[dict[str, Any], list[Any]]]) -> Any:
    """As a record holds messages, each with its events if it alone does not say what was delivered.

    The text of a message that is only text, else the whole message; several messages are a list.
    """
    return one_or_all([_recorded(message, events) for message, events in messages])


def _recorded(message: dict[str, Any], events: list[Any]) -> Any:
    members = {name: value for name, value in message.items() if name != "role" and value not in (None, "", [])}
    if events:
        return with_events(members, events)
    return message.get("content") if members.keys() <= {"content"} and isinstance(message.get("content"), str | None) else members
