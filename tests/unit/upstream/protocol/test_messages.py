"""POST /messages: what is read of a plain answer, and what makes it none."""

from __future__ import annotations

from typing import Any

import pytest

from app.upstream.completion import Completion, Usage
from app.upstream.protocol.messages import MESSAGES

TEXT = {"type": "text", "text": "Hello"}
CALL = {"type": "tool_use", "id": "t", "name": "weather", "input": {"city": "Rome"}}


def document(*content: Any, **more: Any) -> dict[str, Any]:
    known = {"id": "msg_1", "type": "message", "role": "assistant", "model": "small-1", "stop_reason": "end_turn"}
    return {**known, "content": list(content), "usage": {"input_tokens": 3, "output_tokens": 5}, **more}


def read(*content: Any, **more: Any) -> Completion:
    return MESSAGES.read(document(*content, **more), "alias")


def test_an_answer_of_text_is_recorded_as_that_text() -> None:
    assert read(TEXT) == Completion("Hello", "small-1", Usage(3, 5), answer="Hello", finish="end_turn")
    assert read(TEXT, {"type": "text", "text": "!", "citations": None}).answer == "Hello!"
    assert read(content="Hello").answer == "Hello"
    assert read().answer == ""


def test_any_other_answer_is_recorded_with_all_its_blocks() -> None:
    thinking = {"type": "thinking", "thinking": "hm", "signature": "c2ln"}
    cited = {**TEXT, "citations": [{"type": "char_location", "cited_text": "Hi"}]}
    for blocks in ([TEXT, CALL], [thinking, TEXT], [cited], [CALL]):
        assert read(*blocks, stop_reason="tool_use").answer == blocks


def test_what_stands_beside_the_content_is_recorded_if_it_says_something() -> None:
    completion = read(TEXT, stop_sequence="END", container={"id": "c1"}, x_more=None)
    assert completion.other == {"stop_sequence": "END", "container": {"id": "c1"}}
    assert read(TEXT, stop_sequence=None).other is None


@pytest.mark.parametrize("usage", [None, {"input_tokens": "3"}, [], {"input_tokens": -1, "output_tokens": 1}])
def test_odd_counts_cost_the_counts_and_not_the_answer(usage: Any) -> None:
    completion = read(TEXT, usage=usage, model=7, stop_reason=None)
    assert (completion.usage, completion.model, completion.finish, completion.text) == (None, "alias", None, "Hello")


@pytest.mark.parametrize("odd", [{"content": None}, {"content": {}}, {"error": {"type": "api_error"}}])
def test_what_holds_no_content_is_no_answer(odd: dict[str, Any]) -> None:
    with pytest.raises(TypeError):
        read(**odd)
    with pytest.raises((LookupError, TypeError)):
        MESSAGES.read({"type": "error"}, "alias")
