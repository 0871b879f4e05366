"""POST /chat/completions: its answer, and its stream of chunks."""

from __future__ import annotations

from typing import Any

import orjson

from ...audit.format.record import Receipt
from ...errors import UpstreamError
from ...kit.event_stream import Event
from ...kit.strict_json import verify_depth
from ..completion import Completion, Usage
from .endpoint import finish_reason, model_name, one_or_all, read_usage, with_receipt, with_safe_name
from .merging import Message

DONE = Event(b"", b"[DONE]")
MAX_CHOICES = 128


class Chat:
    name, path, messages = "chat", "/chat/completions", "messages"
    token_caps: tuple[str, ...] = ("max_tokens", "max_completion_tokens")
    streams = wants_objects = usage_is_asked_for = True
    beyond_the_record: frozenset[str] = frozenset()

    def read(self, document: Any, model: str) -> Completion:
        choices = document["choices"]
        if not isinstance(choices, list) or document.get("error"):
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
            finish=one_or_all([finish_reason(choice.get("finish_reason")) for choice in choices]),
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
        self._wants_usage = wants_usage
        self._usage: Usage | None = None
        self._told: dict[int, Message] = {}
        self._deltas: list[tuple[int, dict[str, Any]]] = []
        """Since the last mark."""
        self._finish: dict[int, str | None] = {}
        self._held: list[Event] = []
        self._before_held = 0  # how many of the deltas were given out
        self._last: dict[str, Any] = {}

    def feed(self, event: Event) -> list[Event]:
        self.text = ""
        if event.data.startswith(b"[DONE]"):
            if not self._finish:
                raise UpstreamError  # an end of nothing
            self.is_over = True
            return []
        chunk = orjson.loads(event.data)
        verify_depth(chunk, event.data)
        if chunk.get("error"):
            raise UpstreamError
        choices = chunk["choices"]
        if (usage := chunk.get("usage")) is not None:
            self._usage = read_usage(usage, "prompt_tokens", "completion_tokens")
            if not choices and not self._wants_usage:
                return []
        if (named := chunk.get("model")) and named != self._model:
            if with_safe_name(chunk, self._alias):
                event = Event(event.name, orjson.dumps(chunk))
            self._model = chunk["model"]
        if chunk.pop("receipt", None) is not None:  # another's, which is no receipt of ours
            event = Event(event.name, orjson.dumps(chunk))
        self._last = chunk
        given, self._held = self._held, []
        self.text, self.held_text = self.held_text, ""
        self._before_held = len(self._deltas)
        ends, text = usage is not None and not choices, ""
        for choice in choices:
            index, delta = choice.get("index", 0), choice.get("delta") or {}
            if type(index) is not int or not 0 <= index < MAX_CHOICES or not isinstance(delta, dict):
                raise TypeError
            content = delta.get("content")
            if index == 0 and content:
                text += content
            self._deltas.append((index, delta))
            reason = choice.get("finish_reason")
            self._finish[index] = finish_reason(reason) or self._finish.get(index)
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
        for index, delta in self._deltas[: self._before_held]:
            self._told.setdefault(index, Message()).add(delta)
        del self._deltas[: self._before_held]
        self._before_held = 0

    def completion(self) -> Completion:
        self._before_held = len(self._deltas)
        self.mark()
        finish = one_or_all([self._finish[index] for index in sorted(self._finish)])
        messages = [self._told[index].plain() for index in sorted(self._told)]
        text = self._told[0].plain().get("content") if 0 in self._told else None
        if not isinstance(text, str | None):
            raise TypeError
        return Completion(text, self._model, self._usage, answer=_recorded(messages), finish=finish)

    def delivered(self) -> Any:
        return _recorded([self._told[index].plain() for index in sorted(self._told)]) if self._told else None

    def last_events(self, receipt: Receipt) -> list[Event]:
        if self._held:
            (last,) = self._held
            return [Event(last.name, with_receipt(last.data, self._last, receipt)), DONE]
        # The server ended without saying why: an empty chunk carries the receipt.
        chunk = {name: self._last.get(name) for name in ("id", "object", "created", "model")} | {"choices": []}
        return [Event(b"", with_receipt(orjson.dumps(chunk), chunk, receipt)), DONE]


def _recorded(messages: list[dict[str, Any]]) -> Any:
    """How a record holds them: the text of one message that is only text; else the message, or all of them."""
    kept: list[Any] = []
    for message in messages:
        said = {name: value for name, value in message.items() if name != "role" and value not in (None, "", [])}
        kept.append(message.get("content") if set(said) <= {"content"} else said)
    return one_or_all(kept)


CHAT = Chat()
