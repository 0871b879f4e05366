"""POST /completions: an answer's text is its record, plain and streamed."""

from __future__ import annotations

from typing import Any

import orjson

from app.kit.event_stream import Event
from app.upstream.completion import Usage
from app.upstream.protocol.chat_stream import DONE
from app.upstream.protocol.completions import COMPLETIONS

USAGE = {"prompt_tokens": 3, "completion_tokens": 5}


def choice(text: str, index: int = 0, finish: str | None = "stop") -> dict[str, Any]:
    return {"text": text, "index": index, "logprobs": None, "finish_reason": finish}


def document(*choices: Any, **more: Any) -> dict[str, Any]:
    return {"id": "cmpl-1", "object": "text_completion", "created": 1, "model": "small-1", "choices": list(choices), **more}


def test_a_plain_answer_is_recorded_as_its_text_or_texts() -> None:
    one = COMPLETIONS.read(document(choice("Hello"), usage=USAGE), "alias")
    assert (one.answer, one.model, one.usage, one.finish, one.other) == ("Hello", "small-1", Usage(3, 5), "stop", None)
    assert COMPLETIONS.read(document(choice("a"), choice("b", 1)), "alias").answer == ["a", "b"]


def test_what_else_a_choice_says_is_recorded_beside_its_text() -> None:
    odd = {**choice("Hello"), "reasoning": "hm"}
    completion = COMPLETIONS.read(document(odd, provider="p"), "alias")
    assert (completion.answer, completion.other) == ("Hello", {"provider": "p", "choices[0].reasoning": "hm"})


def test_a_stream_is_recorded_as_the_same_texts() -> None:
    reader = COMPLETIONS.reader("alias", False)
    chunks = [document(choice("Hel", 0, None)), document(choice("Bye", 1)), document(choice("lo", 0))]
    for chunk in chunks:
        reader.feed(Event(b"", orjson.dumps(chunk)))
    reader.mark_delivered()
    assert reader.delivered() == ["Hel", "Bye"]
    reader.feed(DONE)
    assert (reader.completion().answer, reader.completion().finish) == (["Hello", "Bye"], ["stop", "stop"])
