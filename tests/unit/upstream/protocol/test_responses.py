"""The answer of /responses, plain and as a stream of typed events."""

from __future__ import annotations

from typing import Any

import pytest

from app.upstream.completion import Usage
from app.upstream.protocol.responses import RESPONSES

MESSAGE = {"type": "message", "content": [{"type": "output_text", "text": "Hello"}]}
CALL = {"type": "function_call", "call_id": "c", "name": "weather", "arguments": "{}"}


def document(*output: Any, **members: Any) -> dict[str, Any]:
    return {"model": "small-1", "status": "completed", "output": list(output), **members}


def test_an_answer_of_text_is_recorded_as_text() -> None:
    usage = {"input_tokens": 3, "output_tokens": 5}
    answer = RESPONSES.read(document(MESSAGE, MESSAGE, usage=usage), "alias")
    assert (answer.text, answer.answer, answer.model, answer.usage, answer.finish) == (
        "HelloHello",
        "HelloHello",
        "small-1",
        Usage(3, 5),
        "completed",
    )


def test_an_answer_with_a_call_is_recorded_whole() -> None:
    answer = RESPONSES.read(document(MESSAGE, CALL), "alias")
    assert (answer.text, answer.answer) == ("Hello", [MESSAGE, CALL])


def test_an_incomplete_answer_names_the_reason() -> None:
    answer = RESPONSES.read(document(MESSAGE, status="incomplete", incomplete_details={"reason": "max_output_tokens"}), "a")
    assert answer.finish == "max_output_tokens"


@pytest.mark.parametrize(
    "bad",
    [
        {},
        document(status="failed"),
        document(status="queued"),
        {**document(), "output": {}},
        {**document(), "output": None},
        document(error={"code": "server_error"}),
    ],
)
def test_a_malformed_answer_is_refused(bad: Any) -> None:
    with pytest.raises((ValueError, TypeError, LookupError, AttributeError)):
        RESPONSES.read(bad, "alias")


@pytest.mark.parametrize(
    "odd", [document(7), document({"type": "message", "content": 7}, 7), document(MESSAGE, 7, model=7, usage=[], status=7)]
)
def test_an_odd_answer_is_recorded_whole(odd: dict[str, Any]) -> None:
    answer = RESPONSES.read(odd, "alias")
    assert (answer.answer, answer.model, answer.usage) == (odd["output"], "small-1" if odd["model"] != 7 else "alias", None)


def test_citations_are_recorded_with_their_text() -> None:
    part = {"type": "output_text", "text": "Hello", "annotations": [{"url": "https://a.example"}]}
    cited = {"type": "message", "content": [part]}
    assert RESPONSES.read(document(cited), "alias").answer == [cited]


def test_a_text_that_the_output_does_not_hold_is_recorded() -> None:
    assert RESPONSES.read(document(MESSAGE, output_text="Hello"), "alias").other is None
    assert RESPONSES.read(document(MESSAGE, output_text="Bye"), "alias").other == {"output_text": "Bye"}
    for bare in ({"output": None, "output_text": "Hello"}, {"output_text": "Hello"}):
        assert RESPONSES.read(bare, "alias").other == {"output_text": "Hello"}
