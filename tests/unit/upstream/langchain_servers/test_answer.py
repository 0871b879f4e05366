"""What chat models of several vendors say, in OpenAI's words."""

from __future__ import annotations

from typing import Any

import pytest
from langchain_core.messages import AIMessage, AIMessageChunk

from app.upstream.langchain_servers.answer import Answer


def chunk(content: Any = "", **members: Any) -> AIMessageChunk:
    return AIMessageChunk(content=content, **members)


def call(args: str | None = None, index: int | None = None, **members: Any) -> Any:
    return {"name": None, "id": None, "args": args, "index": index, "type": "tool_call_chunk", **members}


@pytest.mark.parametrize(
    ("metadata", "finish"),
    [
        ({"stop_reason": "end_turn"}, "stop"),
        ({"stop_reason": "max_tokens"}, "length"),
        ({"stop_reason": "refusal"}, "content_filter"),
        ({"stopReason": "tool_use"}, "tool_calls"),
        ({"finish_reason": "STOP"}, "stop"),
        ({"finish_reason": "SAFETY"}, "content_filter"),
        ({"done_reason": "stop"}, "stop"),
        ({"finish_reason": "something_new"}, "something_new"),
        ({"prompt_feedback": {"block_reason": "SAFETY"}}, "content_filter"),
        ({"prompt_feedback": {"block_reason": 0}}, None),
        ({"stop_reason": None}, None),
        ({"other": "x"}, None),
    ],
)
def test_why_an_answer_ended_is_told_in_openais_words(metadata: dict[str, Any], finish: str | None) -> None:
    answer = Answer("m")
    answer.delta(chunk(response_metadata=metadata))
    assert answer.finish_reason == finish


def test_a_stop_after_a_call_is_one_for_the_call() -> None:
    answer = Answer("m")
    answer.delta(chunk(tool_call_chunks=[call("{}", name="f", id="1")], response_metadata={"finish_reason": "STOP"}))
    assert answer.finish_reason == "tool_calls"


def test_usage_is_added_up_with_what_was_cached_and_thought() -> None:
    answer = Answer("m")
    details: Any = {"input_token_details": {"cache_read": 4}, "output_token_details": {"reasoning": 2}}
    answer.delta(chunk(usage_metadata={"input_tokens": 10, "output_tokens": 0, "total_tokens": 10, **details}))
    answer.delta(chunk(usage_metadata={"input_tokens": 0, "output_tokens": 5, "total_tokens": 5}))
    assert answer.usage == {
        "prompt_tokens": 10,
        "completion_tokens": 5,
        "total_tokens": 15,
        "prompt_tokens_details": {"cached_tokens": 4},
        "completion_tokens_details": {"reasoning_tokens": 2},
    }


@pytest.mark.parametrize("name", ["cache_creation", "ephemeral_5m_input_tokens", "ephemeral_1h_input_tokens"])
def test_what_was_written_to_the_cache_is_told(name: str) -> None:
    answer, counted = Answer("m"), {"input_tokens": 10, "output_tokens": 5, "total_tokens": 15}
    answer.delta(chunk("a", usage_metadata={**counted, "input_token_details": {"cache_read": 1, "cache_creation": 0, name: 6}}))
    assert answer.usage is not None
    assert answer.usage["prompt_tokens_details"] == {"cached_tokens": 1, "cache_write_tokens": 6}


def test_text_is_text_wherever_it_stands_and_thought_is_beside_it() -> None:
    answer = Answer("m")
    assert answer.delta(chunk("a")) == {"content": "a"}
    blocks = [{"type": "text", "text": "b", "index": 0}]
    assert answer.delta(chunk(blocks, response_metadata={"model_provider": "anthropic"})) == {"content": "b"}
    thinking = [{"type": "thinking", "thinking": "hm", "index": 0}]
    assert answer.delta(chunk(thinking, response_metadata={"model_provider": "anthropic"})) == {"reasoning_content": "hm"}
    assert answer.delta(chunk([])) == {}


def test_calls_in_pieces_keep_the_number_that_they_began_with() -> None:
    answer = Answer("m")
    pieces = [call("", 1, name="f", id="a"), call('{"x"', 1), call("", 2, name="g", id="b"), call(":1}", 1)]
    deltas = [answer.delta(chunk(tool_call_chunks=[piece]))["tool_calls"][0] for piece in pieces]
    assert deltas == [
        {"index": 0, "id": "a", "type": "function", "function": {"name": "f", "arguments": ""}},
        {"index": 0, "function": {"arguments": '{"x"'}},
        {"index": 1, "id": "b", "type": "function", "function": {"name": "g", "arguments": ""}},
        {"index": 0, "function": {"arguments": ":1}"}},
    ]


def test_a_later_piece_has_no_id_of_its_own() -> None:
    """langchain-mistralai makes one up for each piece."""
    answer = Answer("m")
    pieces = [call("{", 0, name="f", id="a"), call("}", 0, id="b")]
    deltas = [answer.delta(chunk(tool_call_chunks=[piece]))["tool_calls"][0] for piece in pieces]
    assert deltas[1] == {"index": 0, "function": {"arguments": "}"}}
    assert answer.finish_reason is None


def test_whole_calls_without_numbers_are_numbered_by_their_ids() -> None:
    answer = Answer("m")
    whole = AIMessage("", tool_calls=[{"name": name, "args": {}, "id": name} for name in ("f", "g")])
    assert [(one["index"], one["function"]["name"]) for one in answer.delta(whole)["tool_calls"]] == [(0, "f"), (1, "g")]


def test_the_model_is_the_one_that_the_server_names() -> None:
    answer = Answer("asked")
    assert answer.envelope("x")["model"] == "asked"
    answer.delta(chunk(response_metadata={"model_name": "real"}))
    assert answer.envelope("x")["model"] == "real"
