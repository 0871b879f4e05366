"""Texts of questions and answers, by the conventions of OpenTelemetry: only where asked for."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from ..upstream.completion import Completion


def input_messages(asked: Mapping[str, Any]) -> str:
    """As JSON. *asked*: of a PreparedCall."""
    said = asked.get("query", asked.get("messages"))
    messages = said if isinstance(said, list) else [said]
    return json.dumps([_message(one) for one in messages], ensure_ascii=False)


def output_messages(completion: Completion) -> str:
    said = completion.text if completion.text is not None else completion.answer
    message = {"role": "assistant", "parts": _parts(said)}
    return json.dumps([message | ({"finish_reason": completion.finish} if completion.finish else {})], ensure_ascii=False)


def _message(message: Any) -> dict[str, Any]:
    if not isinstance(message, dict):
        return {"role": "user", "parts": _parts(message)}
    role = message.get("role", "user")
    rest = {name: value for name, value in message.items() if name not in ("role", "content")}
    return {"role": role, "parts": _parts(message.get("content")) + (_parts(rest) if rest else [])}


def _parts(content: Any) -> list[dict[str, Any]]:
    """What is no text stays as it is, as JSON."""
    if content is None:
        return []
    if isinstance(content, list):
        return [part for one in content for part in _parts(one)]
    if isinstance(content, dict) and isinstance(content.get("text"), str):
        content = content["text"]
    return [{"type": "text", "content": content if isinstance(content, str) else json.dumps(content, ensure_ascii=False)}]
