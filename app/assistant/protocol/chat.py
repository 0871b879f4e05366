"""POST /chat/completions: its answer, and its stream of chunks."""

from __future__ import annotations

from typing import Any

import orjson

from ...errors import UpstreamError
from ...security.audit.entry import Receipt
from ..models import Completion, Usage
from .dialect import model_name, read_usage, with_receipt
from .event_stream import Event

DONE = Event(b"", b"[DONE]")
_FIXED = frozenset({"id", "type", "role", "index"})


class Chat:
    name, path, messages = "chat", "/chat/completions", "messages"
    token_caps: tuple[str, ...] = ("max_tokens", "max_completion_tokens")
    streams = True

    def read(self, document: Any, model: str) -> Completion:
        choices = document["choices"]
        if not isinstance(choices, list):
            raise TypeError
        messages = [choice["message"] for choice in choices]
        text = messages[0].get("content")
        if not isinstance(text, str | None):
            raise TypeError
        return Completion(
            text,
            model_name(document, model),
            read_usage(document.get("usage"), "prompt_tokens", "completion_tokens"),
            answer=_recorded(messages),
            finish=_one_or_all([choice.get("finish_reason") for choice in choices]),
        )

    def reader(self, model: str, wants_usage: bool) -> ChatReader:
        return ChatReader(model, wants_usage)


class ChatReader:
    """Chunks go on as they came; the last that carries a finish_reason, or the usage, waits for the receipt.

    A usage chunk that the caller did not ask for is for the record alone.
    """

    def __init__(self, model: str, wants_usage: bool) -> None:
        self.is_over = False
        self.text = self.held_text = ""
        self._alias = self._model = model
        self._named: object = None
        self._wants_usage = wants_usage
        self._usage: Usage | None = None
        self._deltas: list[tuple[int, dict[str, Any]]] = []
        self._finish: dict[int, str | None] = {}
        self._held: list[Event] = []
        self._before_held = 0  # how many deltas were given out
        self._marked = 0
        self._last: dict[str, Any] = {}

    def feed(self, event: Event) -> list[Event]:
        self.text = ""
        if event.data.startswith(b"[DONE]"):
            self.is_over = True
            return []
        chunk = orjson.loads(event.data)
        if chunk.get("error"):
            raise UpstreamError
        choices = chunk["choices"]
        if (usage := chunk.get("usage")) is not None:
            self._usage = read_usage(usage, "prompt_tokens", "completion_tokens")
            if not choices and not self._wants_usage:
                return []
        if (named := chunk.get("model")) != self._named:
            self._named, self._model = named, model_name(chunk, self._alias)
        if named and named != self._model:
            chunk["model"] = self._model
            event = Event(event.name, orjson.dumps(chunk))
        self._last = chunk
        given, self._held = self._held, []
        self.text, self.held_text = self.held_text, ""
        self._before_held = len(self._deltas)
        ends, text = usage is not None and not choices, ""
        for choice in choices:
            index, delta = choice.get("index", 0), choice.get("delta") or {}
            content = delta.get("content")
            if index == 0 and content:
                text += content
            self._deltas.append((index, delta))
            reason = choice.get("finish_reason")
            self._finish[index] = reason or self._finish.get(index)
            ends = ends or reason is not None
        if ends:
            self._held, self.held_text = [event], text
            return given
        self._before_held = len(self._deltas)
        self.text += text
        return [*given, event]

    def end(self) -> None:
        if not self._finish or None in self._finish.values():
            raise UpstreamError
        self.is_over = True

    def mark(self) -> None:
        self._marked = self._before_held

    def completion(self) -> Completion:
        messages = _merged(self._deltas)
        finish = _one_or_all([self._finish[index] for index in sorted(self._finish)])
        text = messages[0].get("content") if messages else None
        return Completion(
            text if isinstance(text, str) else None, self._model, self._usage, answer=_recorded(messages), finish=finish
        )

    def delivered(self) -> Any:
        return _recorded(_merged(self._deltas[: self._marked])) if self._marked else None

    def last_events(self, receipt: Receipt) -> list[Event]:
        if self._held:
            (last,) = self._held
            return [Event(last.name, with_receipt(last.data, self._last, receipt)), DONE]
        # The server ended without saying why: an empty chunk carries the receipt.
        chunk = {name: self._last.get(name) for name in ("id", "object", "created", "model")} | {"choices": []}
        return [Event(b"", with_receipt(orjson.dumps(chunk), chunk, receipt)), DONE]


def _merged(deltas: list[tuple[int, dict[str, Any]]]) -> list[dict[str, Any]]:
    """The messages that *deltas* add up to, in the order of their choices."""
    messages: dict[int, dict[str, Any]] = {}
    texts: dict[int, list[str]] = {}
    for index, delta in deltas:
        message = messages.setdefault(index, {})
        for name, value in delta.items():
            if name == "content" and isinstance(value, str):
                texts.setdefault(index, []).append(value)
            else:
                _add(message, name, value)
    for index, pieces in texts.items():
        messages[index] = {"content": "".join(pieces), **messages[index]}
    return [messages[index] for index in sorted(messages)]


def _add(into: dict[str, Any], name: str, value: Any) -> None:
    """One member of a delta: texts are joined, lists of parts with an `index` are merged by it."""
    known = into.get(name)
    if isinstance(value, str) and isinstance(known, str) and name not in _FIXED:
        into[name] = known + value
    elif isinstance(value, dict):
        into[name] = inner = dict(known) if isinstance(known, dict) else {}
        for key, item in value.items():
            _add(inner, key, item)
    elif isinstance(value, list):
        into[name] = parts = list(known) if isinstance(known, list) else []
        for part in value:
            place = (
                next((p for p in parts if isinstance(p, dict) and p.get("index") == part["index"]), None)
                if _has_index(part)
                else None
            )
            if place is None:
                parts.append({} if isinstance(part, dict) else part)
                place = parts[-1]
            for key, item in part.items() if isinstance(part, dict) else ():
                _add(place, key, item)
    elif value is not None:
        into[name] = value


def _has_index(part: Any) -> bool:
    return isinstance(part, dict) and "index" in part


def _recorded(messages: list[dict[str, Any]]) -> Any:
    """How a record holds them: the text of one message that is only text; else the message, or all of them."""
    kept: list[Any] = []
    for message in messages:
        said = {name: value for name, value in message.items() if name != "role" and value not in (None, "", [])}
        kept.append(message.get("content") if set(said) <= {"content"} else said)
    return _one_or_all(kept)


def _one_or_all(values: list[Any]) -> Any:
    return values[0] if len(values) == 1 else values


CHAT = Chat()
