"""The bodies of the public contract: what a question may be, and what an answer holds."""

from __future__ import annotations

from typing import Any

import pytest

from app.api.schemas import AskResponse, answer_body, read_ask
from app.assistant.models import Answer
from app.audit.format.record import Receipt
from app.errors import InvalidRequest
from app.upstream.completion import Usage

from ...support.tables import for_each

RECEIPT = Receipt(41, "ab" * 32)


@pytest.mark.parametrize("query", ["a", " a ", "é" * 2000, "😀" * 2000, "\x01", "\n\u200b"])
def test_a_question_has_1_to_2000_code_points(query: str) -> None:
    assert read_ask({"query": query}).query == query


@for_each(
    ("document", "sentence"),
    [
        ({}, "The member query is missing."),
        ({"Query": "a"}, "The member query is missing."),
        ({"query": "a", "more": 1}, "The only member is query."),
        ({"query": ""}, "The query is empty."),
        ({"query": "a" * 2001}, "The query is longer than 2,000 characters."),
        ({"query": " \t\n\u3000"}, "The query is only white space."),
        ({"query": "a\x00"}, "The query holds U+0000."),
        ({"query": "a\ud800"}, "The query holds a lone surrogate."),
        ({"query": 1}, "The query is not a string."),
        ({"query": None}, "The query is not a string."),
        ({"query": ["a"]}, "The query is not a string."),
        ([], 'Send one JSON object: {"query": "…"}.'),
        ("planted", 'Send one JSON object: {"query": "…"}.'),
        (None, 'Send one JSON object: {"query": "…"}.'),
    ],
)
def test_what_is_no_question_is_refused_with_a_sentence_about_it(document: Any, sentence: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        read_ask(document)
    assert refused.value.detail == sentence


@pytest.mark.parametrize("document", [{"planted": 1}, {"query": "a", "planted": 1}, {"query": ["planted"]}, ["planted"]])
def test_a_refusal_repeats_no_piece_of_the_body(document: Any) -> None:
    with pytest.raises(InvalidRequest) as refused:
        read_ask(document)
    assert "planted" not in refused.value.detail
    assert refused.value.__cause__ is None


@pytest.mark.parametrize("usage", [None, Usage(3, 4)])
def test_an_answer_has_the_members_of_its_schema_in_their_order(usage: Usage | None) -> None:
    body = answer_body(Answer("Paris.", "small-1", usage, "0" * 32, RECEIPT))
    assert list(body) == list(AskResponse.model_fields)[:-1]
    cut = answer_body(Answer("Paris.", "small-1", usage, "0" * 32, RECEIPT, stopped_by="length"))
    assert list(cut) == list(AskResponse.model_fields)
    assert cut["finish_reason"] == "length"
    assert AskResponse.model_validate(body).model_dump(exclude_unset=True) == body
    assert body["usage"] == ({"input_tokens": 3, "output_tokens": 4} if usage else None)
    assert body["receipt"] == {"seq": 41, "hash": "ab" * 32}
