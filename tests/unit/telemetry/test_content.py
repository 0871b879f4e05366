"""Texts as the conventions have them, also where a message is no plain text."""

from __future__ import annotations

import json
from typing import Any

import pytest

from app.telemetry.content import input_messages, output_messages
from app.upstream.completion import Completion


def text(said: str) -> dict[str, str]:
    return {"type": "text", "content": said}


@pytest.mark.parametrize(
    ("asked", "messages"),
    [
        ({"query": "hi"}, [{"role": "user", "parts": [text("hi")]}]),
        ({"messages": "hi"}, [{"role": "user", "parts": [text("hi")]}]),
        ({"messages": [{"role": "system", "content": "Be brief."}]}, [{"role": "system", "parts": [text("Be brief.")]}]),
        ({"messages": [{"role": "user", "content": [{"type": "text", "text": "a"}, {"type": "image_url"}]}]},
         [{"role": "user", "parts": [text("a"), text('{"type": "image_url"}')]}]),
        ({"messages": [{"role": "assistant", "content": None, "tool_calls": []}]},
         [{"role": "assistant", "parts": [text('{"tool_calls": []}')]}]),
    ],
)  # fmt: skip
def test_what_is_asked(asked: dict[str, Any], messages: list[Any]) -> None:
    assert json.loads(input_messages(asked)) == messages


def test_what_is_answered() -> None:
    assert json.loads(output_messages(Completion("fine", "m", None, finish="stop"))) == [
        {"role": "assistant", "parts": [text("fine")], "finish_reason": "stop"}
    ]
    assert json.loads(output_messages(Completion(None, "m", None, answer={"tool": 1}))) == [
        {"role": "assistant", "parts": [text('{"tool": 1}')]}
    ]
