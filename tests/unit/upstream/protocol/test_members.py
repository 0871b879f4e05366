"""Members that answers of several endpoints share."""

from __future__ import annotations

from typing import Any

import pytest

from app.upstream.completion import Usage
from app.upstream.protocol.embeddings import EMBEDDINGS
from app.upstream.protocol.members import finish_reason, one_or_all, read_usage, replace_model_path, safe_model_name


@pytest.mark.parametrize("name", ["gpt-5", "meta/llama-3", "a b", "x" * 500])
def test_a_models_name_is_the_servers(name: str) -> None:
    document = {"model": name}
    assert safe_model_name(document, "alias") == name
    assert not replace_model_path(document, "alias")


@pytest.mark.parametrize("name", ["/srv/m", "./m", "~/m", "C:\\m", "m.gguf", "../m"])
def test_a_path_is_replaced_by_the_alias(name: str) -> None:
    document = {"id": 1, "model": name}
    assert safe_model_name(document, "alias") == "alias"
    assert replace_model_path(document, "alias")
    assert document == {"id": 1, "model": "alias"}


@pytest.mark.parametrize("document", [{}, {"model": None}, {"model": ""}])
def test_a_server_without_a_name_goes_by_the_alias(document: dict[str, Any]) -> None:
    assert safe_model_name(document, "alias") == "alias"
    assert not replace_model_path(document, "alias")


@pytest.mark.parametrize("name", [7, ["m"], "x" * 501, "\ud83d"])
def test_what_is_no_name_costs_the_name_and_not_the_answer(name: Any) -> None:
    assert safe_model_name({"model": name}, "alias") == "alias"
    assert not replace_model_path({"model": name}, "alias")


@pytest.mark.parametrize(
    ("value", "word"),
    [("stop", "stop"), (None, None), ("", None), ("x" * 101, "x" * 100), (7, "7"), (["stop"], "unknown"), ("\ud83d", "\\ud83d")],
)
def test_a_finish_reason_is_a_short_word_or_none(value: Any, word: str | None) -> None:
    assert finish_reason(value) == word


def test_one_value_stands_alone() -> None:
    assert (one_or_all([1]), one_or_all([1, 2]), one_or_all([])) == (1, [1, 2], [])


@pytest.mark.parametrize(
    ("counts", "output", "usage"),
    [
        ({"in": 3, "out": 5}, "out", Usage(3, 5)),
        ({"in": 3}, None, Usage(3, 0)),
        (None, "out", None),
        ({}, "out", None),
        ({"in": 3}, "out", None),
        ({"in": None, "out": 5}, "out", None),
    ],
)
def test_usage_is_what_the_server_counted_or_nothing(counts: Any, output: str | None, usage: Usage | None) -> None:
    assert read_usage(counts, "in", output) == usage


PARTS: dict[str, tuple[dict[str, Any], Usage]] = {
    "OpenAI's chats": (
        {"total_tokens": 15, "prompt_tokens_details": {"cached_tokens": 4}, "completion_tokens_details": {"reasoning_tokens": 3}},
        Usage(10, 5, (0, 0), 4, 0, 3),
    ),
    "OpenAI's responses": (
        {"input_tokens_details": {"cached_tokens": 4}, "output_tokens_details": {"reasoning_tokens": 3}},
        Usage(10, 5, (0, 0), 4, 0, 3),
    ),
    "Anthropic's cache, which is beside the input": (
        {"cache_read_input_tokens": 70, "cache_creation_input_tokens": 20},
        Usage(10, 5, (90, 0), 70, 20),
    ),
    "what was written to a cache, as part of the input": (
        {"prompt_tokens_details": {"cached_tokens": 4, "cache_write_tokens": 9}},
        Usage(10, 5, cached=4, written=6),
    ),
    "thoughts that stand in the total alone": ({"total_tokens": 40}, Usage(10, 5, (0, 25))),
    "details that are none": ({"total_tokens": "x", "prompt_tokens_details": None, "cache_read_input_tokens": -1}, Usage(10, 5)),
    "more cached than was read": ({"prompt_tokens_details": {"cached_tokens": 99}}, Usage(10, 5, cached=10)),
}


@pytest.mark.parametrize(("more", "usage"), PARTS.values(), ids=PARTS)
def test_what_is_billed_beside_the_two_counts_is_read_too(more: dict[str, Any], usage: Usage) -> None:
    found = read_usage({"in": 10, "out": 5, **more}, "in", "out")
    assert found == usage
    assert found is not None
    assert found.members() == {"input_tokens": 10, "output_tokens": 5}, "records hold what they held"


@pytest.mark.parametrize("count", [-1, True, "3", 3.0, 2**53 + 1, 1e300, None, [], {}])
def test_an_odd_count_costs_the_count(count: Any) -> None:
    assert read_usage({"in": count, "out": 1}, "in", "out") is None
    assert read_usage({"in": 1, "out": count}, "in", "out") is None
    assert read_usage(count, "in", "out") is None


def test_embeddings_are_recorded_by_their_number() -> None:
    document = {"model": "e", "data": [{"embedding": [0.1]}, {"embedding": "b64"}], "usage": {"prompt_tokens": 4}}
    answer = EMBEDDINGS.read(document, "alias")
    assert (answer.text, answer.answer, answer.model, answer.usage) == (None, {"vectors": 2}, "e", Usage(4, 0))


@pytest.mark.parametrize("bad", [{}, {"data": {}}, {"data": [{}]}, {"data": [7]}, {"data": [], "error": {"message": "no"}}])
def test_what_holds_no_vectors_is_refused(bad: Any) -> None:
    with pytest.raises((TypeError, LookupError)):
        EMBEDDINGS.read(bad, "alias")
