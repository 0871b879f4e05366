"""POST /chat/completions: its answer, and its stream of chunks."""

from __future__ import annotations

from typing import Any

import orjson

from ...errors import UpstreamError
from ...kit.event_stream import Event
from ...kit.strict_json import verify_depth
from ..completion import Completion, Usage
from .members import finish_reason, one_or_all, read_usage, replace_model_path, safe_model_name
from .merging import Message
from .stream_reader import StreamEnd

DONE = Event(b"", b"[DONE]")
MAX_CHOICES = 128
Delta = tuple[int, dict[str, Any]]
"""The index of a choice, and what is added to its message."""


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
            safe_model_name(document, model),
            read_usage(document.get("usage"), "prompt_tokens", "completion_tokens"),
            answer=_recorded(messages),
            finish=one_or_all([finish_reason(choice.get("finish_reason")) for choice in choices]),
        )

    def reader(self, model: str, wants_usage: bool) -> ChatReader:
        return ChatReader(model, wants_usage)


class ChatReader:
    """Passes chunks on as they came. A chunk that may be the last is held back until the next.

    It may be the last if it has a finish_reason, or nothing but the usage. A usage chunk that the
    caller did not ask for goes to the record only.
    """

    def __init__(self, model: str, wants_usage: bool) -> None:
        self.is_over = False
        self.text = self.held_text = ""
        self._alias = self._model = model
        self._wants_usage = wants_usage
        self._usage: Usage | None = None
        self._finish: dict[int, str | None] = {}  # by the index of the choice, as are the messages
        self._delivered: dict[int, Message] = {}
        self._passed_on: list[Delta] = []  # since the last mark_delivered
        self._held: list[Event] = []  # one at most
        self._held_deltas: list[Delta] = []
        self._last: dict[str, Any] = {}  # the last chunk that was passed on or held back

    def feed(self, event: Event) -> list[Event]:
        self.text = ""
        if event.data.startswith(b"[DONE]"):
            if not self._finish:
                raise UpstreamError  # an end without any answer
            self.is_over = True
            return []
        chunk = orjson.loads(event.data)
        verify_depth(chunk, event.data)
        if chunk.get("error"):
            raise UpstreamError
        choices = chunk["choices"]
        may_be_last = False
        if (usage := chunk.get("usage")) is not None:
            self._usage = read_usage(usage, "prompt_tokens", "completion_tokens")
            if not choices and not self._wants_usage:
                return []
            may_be_last = not choices
        if "receipt" in chunk or chunk.get("model") != self._model:
            event = self._cleaned(event, chunk)

        deltas, text = list[Delta](), ""
        for choice in choices:
            index, delta = self._read_choice(choice)
            deltas.append((index, delta))
            if index == 0 and delta.get("content"):
                text += delta["content"]
            may_be_last = may_be_last or choice.get("finish_reason") is not None

        released = self._release() if self._held else []
        self._last = chunk
        if may_be_last:
            self._held, self._held_deltas, self.held_text = [event], deltas, text
            return released
        self._passed_on += deltas
        self.text += text
        return [*released, event]

    def _cleaned(self, event: Event, chunk: dict[str, Any]) -> Event:
        """Without a path as the model's name, and without the receipt of another gateway."""
        is_changed = "receipt" in chunk
        chunk.pop("receipt", None)
        if chunk.get("model"):
            is_changed = replace_model_path(chunk, self._alias) or is_changed
            self._model = chunk["model"]
        return Event(event.name, orjson.dumps(chunk)) if is_changed else event

    def _read_choice(self, choice: Any) -> Delta:
        index, delta = choice.get("index", 0), choice.get("delta") or {}
        if type(index) is not int or not 0 <= index < MAX_CHOICES or not isinstance(delta, dict):
            raise TypeError
        self._finish[index] = finish_reason(choice.get("finish_reason")) or self._finish.get(index)
        return index, delta

    def _release(self) -> list[Event]:
        """What was held back, now that another chunk follows it."""
        held, self._held = self._held, []
        self._passed_on += self._held_deltas
        self._held_deltas = []
        self.text, self.held_text = self.held_text, ""
        return held

    def end(self) -> None:
        if not self._finish or None in self._finish.values():
            raise UpstreamError
        self.is_over = True

    def mark_delivered(self) -> None:
        for index, delta in self._passed_on:
            self._delivered.setdefault(index, Message()).add(delta)
        self._passed_on.clear()

    def completion(self) -> Completion:
        self._passed_on += self._held_deltas
        self._held_deltas = []
        self.mark_delivered()
        finish = one_or_all([self._finish[index] for index in sorted(self._finish)])
        messages = self._messages()
        text = messages[0].get("content") if 0 in self._delivered else None
        if not isinstance(text, str | None):
            raise TypeError
        return Completion(text, self._model, self._usage, answer=_recorded(messages), finish=finish)

    def delivered(self) -> Any:
        return _recorded(self._messages()) if self._delivered else None

    def held_back(self) -> StreamEnd:
        if self._held:
            return StreamEnd(self._held[0], self._last, (DONE,))
        # The server ended without a finish_reason: an empty chunk takes the receipt.
        chunk = {name: self._last.get(name) for name in ("id", "object", "created", "model")} | {"choices": []}
        return StreamEnd(Event(b"", orjson.dumps(chunk)), chunk, (DONE,))

    def _messages(self) -> list[dict[str, Any]]:
        return [self._delivered[index].plain() for index in sorted(self._delivered)]


def _recorded(messages: list[dict[str, Any]]) -> Any:
    """As a record holds them: the text of a message that is only text, else the whole message.

    Several messages are a list.
    """
    kept: list[Any] = []
    for message in messages:
        said = {name: value for name, value in message.items() if name != "role" and value not in (None, "", [])}
        kept.append(message.get("content") if set(said) <= {"content"} else said)
    return one_or_all(kept)


CHAT = Chat()
