"""A plain chat answer: its text, and what the record holds of it."""

from __future__ import annotations

from typing import Any

import pytest

from app.upstream.completion import Usage
from app.upstream.protocol.chat import CHAT

THINKING = [{"type": "thinking", "thinking": [{"type": "text", "text": "hm"}]}]


def document(*messages: dict[str, Any], **members: Any) -> dict[str, Any]:
    choices = [{"index": at, "message": one, "finish_reason": "stop"} for at, one in enumerate(messages)]
    return {"id": "c", "model": "small-1", "choices": choices, **members}


def test_an_answer_of_text_is_recorded_as_text() -> None:
    usage = {"prompt_tokens": 3, "completion_tokens": 5}
    answer = CHAT.read(document({"role": "assistant", "content": "Hello", "annotations": []}, usage=usage), "alias")
    assert (answer.text, answer.answer, answer.model, answer.usage) == ("Hello", "Hello", "small-1", Usage(3, 5))
    assert (answer.finish, answer.other) == ("stop", None)


def test_of_several_choices_all_are_recorded_and_the_first_is_the_text() -> None:
    answer = CHAT.read(document({"content": "a"}, {"content": "b"}), "alias")
    assert (answer.text, answer.answer, answer.finish) == ("a", ["a", "b"], ["stop", "stop"])


def test_a_message_that_is_more_than_text_is_recorded_whole() -> None:
    calls = [{"id": "t", "type": "function", "function": {"name": "weather", "arguments": "{}"}}]
    answer = CHAT.read(document({"role": "assistant", "content": None, "tool_calls": calls}), "alias")
    assert (answer.text, answer.answer) == (None, {"tool_calls": calls})


@pytest.mark.parametrize("content", [THINKING, [*THINKING, {"type": "text", "text": "four"}], "four", None])
def test_a_plain_answer_may_have_a_list_of_parts(content: Any) -> None:
    answer = CHAT.read({"choices": [{"message": {"role": "assistant", "content": content}}]}, "alias")
    assert answer.text == ("four" if "four" in str(content) else None)
    assert answer.answer == ({"content": content} if isinstance(content, list) else content)


@pytest.mark.parametrize(
    "bad", [{}, {"choices": None}, {"choices": []}, {"choices": [7]}, document({"content": "a"}, error="no")]
)
def test_what_holds_no_choice_is_refused(bad: dict[str, Any]) -> None:
    with pytest.raises((TypeError, LookupError, AttributeError)):
        CHAT.read(bad, "alias")


def test_a_message_may_stand_where_a_delta_should() -> None:
    answer = CHAT.read({"choices": [{"delta": {"content": "a"}}]}, "alias")
    assert (answer.text, answer.answer) == ("a", "a")


def test_texts_beside_the_message_are_recorded() -> None:
    choice = {"message": {"content": "a"}, "note": "n", "text": "a", "score": 7}
    answer = CHAT.read({"choices": [choice], "citations": ["c"], "id": "x", "timings": {"ms": 7}}, "alias")
    assert (answer.answer, answer.other) == ("a", {"citations": ["c"], "choices[0].note": "n"})
