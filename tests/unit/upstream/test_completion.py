"""Whether an answer can be recorded, and its usage as JSON."""

from __future__ import annotations

import orjson
import pytest

from app.upstream.completion import Completion, Usage, verify_usable


def nested(levels: int) -> object:
    answer: object = "x"
    for _ in range(levels):
        answer = {"a": answer}
    return answer


@pytest.mark.parametrize("text", ["hi", ""])
def test_a_text_is_usable_even_if_it_is_empty(text: str) -> None:
    completion = Completion(text, "m", None, text)
    assert verify_usable(completion, wants_text=True) is completion


def test_an_answer_without_text_is_usable_only_if_no_text_is_wanted() -> None:
    completion = Completion(None, "m", None, {"tool_calls": []})
    assert verify_usable(completion, wants_text=False) is completion
    with pytest.raises(TypeError):
        verify_usable(completion, wants_text=True)


def test_an_answer_that_no_record_can_hold_is_not_usable() -> None:
    assert verify_usable(Completion("hi", "m", None, nested(100)), wants_text=True)
    with pytest.raises(orjson.JSONEncodeError):
        verify_usable(Completion("hi", "m", None, nested(300)), wants_text=True)


def test_usage_has_the_members_of_answers_and_records() -> None:
    assert Usage(3, 5).members() == {"input_tokens": 3, "output_tokens": 5}
