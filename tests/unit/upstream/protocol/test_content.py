"""The texts in an answer, and whether one value says all that another says."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.upstream.protocol.content import Latest, news_in, restates, said, says_anything, text_of

from ....support.tables import for_each

NAMES = st.sampled_from(["a", "b", "id", "type"])
JSON: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=3),
    lambda children: (
        st.lists(children, max_size=3) | st.dictionaries(st.sampled_from(["a", "b", "id", "type"]), children, max_size=3)
    ),
    max_leaves=8,
)


@pytest.mark.parametrize(
    ("content", "text"),
    [
        (None, None),
        ("", ""),
        ("a", "a"),
        ([], None),
        (7, None),
        ([{"type": "text", "text": "a"}, "b", {"type": "output_text", "text": "c"}, {"text": "d"}], "abcd"),
        ([{"type": "thinking", "thinking": "a"}, {"type": "reasoning", "text": "b"}, {"type": "text", "text": []}], None),
        ([{"type": "text", "text": "a"}, {"type": "text", "text": 7}], "a7"),
        ({"type": "text", "text": "a"}, "a"),
        ([{"type": []}, None, [], {"type": "text", "text": "a"}], "a"),
    ],
)
def test_the_text_of_content_is_that_of_its_text_parts(content: Any, text: str | None) -> None:
    assert text_of(content) == text


def test_what_is_said_are_all_texts_but_labels() -> None:
    value = {"type": "x", "a": ["b", 7, None, "", {"role": "y", "c": "d", "id": "e"}], "logprobs": ["z"]}
    assert list(said(value)) == ["b", "d", "e"]
    assert list(said(value, frozenset({"a"}))) == ["x", "z"]
    assert (says_anything(value), says_anything({"type": "x", "a": [""]})) == (True, False)


@for_each(
    ("new", "old", "does"),
    [
        ("ab", "a", True),
        ("b", "a", False),
        ({"a": "xy", "b": "z"}, {"a": "x"}, True),
        ({"b": "z"}, {"a": "x"}, False),
        ({"status": "completed"}, {"status": "in_progress"}, True),
        (["a", "b"], ["a"], True),
        (["b"], ["a"], False),
        (["a"], ["a", "b"], False),
        ("a", None, True),
        (None, "", True),
        (None, "a", False),
        ("a", {"b": "c"}, False),
        (8, 7, True),
    ],
)
def test_a_value_restates_another_if_it_says_as_much(new: Any, old: Any, does: bool) -> None:
    assert restates(new, old) == does


@given(JSON, JSON)
def test_what_is_restated_is_said_again(new: Any, old: Any) -> None:
    assert restates(new, new)
    if restates(new, old):
        assert all(any(text in other for other in said(new)) for text in said(old))


def test_the_latest_value_stands_alone_if_it_restates_those_before() -> None:
    values = Latest()
    for name, value in (("a", "x"), ("a", "xy"), ("b", "x"), ("b", "y"), ("b", "y"), ("c", {"d": "\ud83d"}), ("c", 7)):
        values.add(name, value)
    assert values.plain() == {"a": "xy", "b": ["x", "y"], "c": [{"d": "\\ud83d"}, 7]}
    assert values.all()["a"] == ["xy"]


def test_what_an_answer_says_already_is_no_news() -> None:
    assert news_in({}, "a") is None
    assert news_in({"x": "a", "y": ["a", "b"]}, {"content": ["a", "b"]}) is None
    assert news_in({"x": "a", "y": "c"}, "a") == {"y": "c"}
