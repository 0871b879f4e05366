"""POST /chat/completions: its plain answer, and how a record holds its messages."""

from __future__ import annotations

from typing import Any

from ..completion import Completion
from .chat_members import DOCUMENT, PLAIN_CHOICE, further_in_choice, index_of, message_of, recorded
from .chat_stream import ChatReader
from .content import Latest, further, news_in, text_of
from .endpoint import Endpoint
from .members import finish_reason, one_or_all, read_usage, safe_model_name


class Chat(Endpoint):
    name, path, messages = "chat", "/chat/completions", "messages"
    token_caps: tuple[str, ...] = ("max_tokens", "max_completion_tokens")
    streams = wants_objects = usage_is_asked_for = True

    def read(self, document: Any, model: str) -> Completion:
        choices = document["choices"]
        if not isinstance(choices, list) or not choices or document.get("error"):
            raise TypeError
        messages = [message_of(choice, "message") for choice in choices]
        answer = recorded([(message, []) for message in messages])
        return Completion(
            text_of(messages[0].get("content")),
            safe_model_name(document, model),
            read_usage(document.get("usage"), "prompt_tokens", "completion_tokens"),
            answer=answer,
            finish=one_or_all([finish_reason(choice.get("finish_reason")) for choice in choices]),
            other=news_in(_other(document, choices, messages), answer),
        )

    def reader(self, model: str, wants_usage: bool) -> ChatReader:
        return ChatReader(model, wants_usage)


def _other(document: dict[str, Any], choices: list[Any], messages: list[Any]) -> dict[str, Any]:
    """What stands beside the messages."""
    if document.keys() <= DOCUMENT and all(map(_is_plain, choices)):
        return {}
    other = Latest()
    for name, value in further(document, DOCUMENT).items():
        other.add(name, value)
    for place, (choice, message) in enumerate(zip(choices, messages, strict=True)):
        for name, value in further_in_choice(choice, index_of(choice, place), message):
            other.add(name, value)
    return other.plain()


def _is_plain(choice: dict[str, Any]) -> bool:
    return choice.keys() <= PLAIN_CHOICE and isinstance(choice.get("message"), dict | None)


CHAT = Chat()
