"""POST /messages of Anthropic's protocol: its plain answer."""

from __future__ import annotations

from typing import Any

from ..completion import Completion
from .content import further, news_in
from .endpoint import Endpoint
from .members import finish_reason, read_usage, safe_model_name
from .messages_members import MESSAGE, recorded_content
from .messages_stream import MessagesReader


class Messages(Endpoint):
    name, path, messages = "messages", "/messages", "messages"
    protocol = "anthropic"
    token_caps = ("max_tokens",)
    streams = wants_objects = True

    def read(self, document: Any, model: str) -> Completion:
        content = document["content"]
        if not isinstance(content, list | str) or document.get("error"):
            raise TypeError
        answer, text = recorded_content(content if isinstance(content, list) else [{"type": "text", "text": content}])
        return Completion(
            text,
            safe_model_name(document, model),
            read_usage(document.get("usage"), "input_tokens", "output_tokens"),
            answer=answer,
            finish=finish_reason(document.get("stop_reason")),
            other=news_in(further(document, MESSAGE), answer),
        )

    def reader(self, model: str, wants_usage: bool) -> MessagesReader:
        return MessagesReader(model)


MESSAGES = Messages()
