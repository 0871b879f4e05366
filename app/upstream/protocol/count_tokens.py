"""POST /messages/count_tokens of Anthropic's protocol: how long a prompt would be."""

from __future__ import annotations

from typing import Any, NoReturn

from ...catalogue.models import ProtocolName
from ..completion import Completion
from .messages import MESSAGES


class CountTokens:
    """Asked where messages are. Nothing is generated, so no usage is recorded."""

    name, path, messages = MESSAGES.name, "/messages/count_tokens", MESSAGES.messages
    protocol: ProtocolName = "anthropic"
    token_caps: tuple[str, ...] = ()
    streams, wants_objects, answers_each, usage_is_asked_for = False, True, False, False
    beyond_the_record = MESSAGES.beyond_the_record

    def read(self, document: Any, model: str) -> Completion:
        if document.get("error") or "input_tokens" not in document:
            raise TypeError
        return Completion(None, model, None, answer=document)

    def reader(self, model: str, wants_usage: bool) -> NoReturn:
        raise AssertionError("a count does not stream: such a request is refused")


COUNT_TOKENS = CountTokens()
