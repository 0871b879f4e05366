"""POST /completions, the older form of a chat: its answers hold a text in place of a message."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from ..completion import Completion
from .chat import Chat
from .chat_stream import ChatReader


class Completions(Chat):
    name, path, messages = "completions", "/completions", "prompt"
    token_caps = ("max_tokens",)
    wants_objects, answers_each = False, True

    def read(self, document: Any, model: str) -> Completion:
        completion = super().read(document, model)
        return replace(completion, answer=_as_text(completion.answer))

    def reader(self, model: str, wants_usage: bool) -> ChatReader:
        return CompletionsReader(model, wants_usage)


class CompletionsReader(ChatReader):
    def delivered(self) -> Any:
        return _as_text(super().delivered())


def _as_text(answer: Any) -> Any:
    """The text of each message that is only text."""
    if isinstance(answer, list):
        return [_as_text(one) for one in answer]
    return answer["text"] if isinstance(answer, dict) and answer.keys() == {"text"} else answer


COMPLETIONS = Completions()
