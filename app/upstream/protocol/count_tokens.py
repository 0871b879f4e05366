"""POST /messages/count_tokens of Anthropic's protocol: how long a prompt would be."""

from __future__ import annotations

from typing import Any

from ..completion import Completion
from .endpoint import Endpoint
from .messages import MESSAGES


class CountTokens(Endpoint):
    """Asked where messages are. Nothing is generated, so no usage is recorded."""

    name, path, messages = MESSAGES.name, "/messages/count_tokens", MESSAGES.messages
    protocol = MESSAGES.protocol
    wants_objects = True

    def read(self, document: Any, model: str) -> Completion:
        if document.get("error") or "input_tokens" not in document:
            raise TypeError
        return Completion(None, model, None, answer=document)


COUNT_TOKENS = CountTokens()
