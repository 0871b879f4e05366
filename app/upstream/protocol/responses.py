"""POST /responses: its plain answer."""

from __future__ import annotations

from typing import Any

from ..completion import Completion
from .content import news_in
from .endpoint import Endpoint
from .members import read_usage, safe_model_name
from .responses_members import finish_of, recorded_output, response_id_of
from .responses_stream import ResponsesReader

UNFINISHED = frozenset({"failed", "cancelled", "queued", "in_progress"})


class Responses(Endpoint):
    name, path, messages = "responses", "/responses", "input"
    token_caps = ("max_output_tokens",)
    streams = keeps_answers = True

    def read(self, document: Any, model: str) -> Completion:
        output, output_text = document.get("output"), document.get("output_text")  # some servers have the text there, too
        if output is None and output_text:
            output = []
        if not isinstance(output, list) or document.get("status") in UNFINISHED or document.get("error"):
            raise TypeError
        answer, text = recorded_output(output)
        return Completion(
            text,
            safe_model_name(document, model),
            read_usage(document.get("usage"), "input_tokens", "output_tokens"),
            answer=answer,
            finish=finish_of(document),
            other=news_in({"output_text": output_text}, [answer, text]),
            response_id=response_id_of(document),
        )

    def reader(self, model: str, wants_usage: bool) -> ResponsesReader:
        return ResponsesReader(model)


RESPONSES = Responses()
