"""One line of a list: the text that says most of a record, whatever its kind."""

from __future__ import annotations

from typing import Any

import orjson

from app.web.summaries import MAX_TEXT, summary_of, text_of

from ...support.tables import for_each


@for_each(
    ("details", "text"),
    [
        ({"query": "why?"}, "why?"),
        ({"messages": [{"role": "system", "content": "be"}, {"role": "user", "content": "last"}]}, "last"),
        ({"messages": [{"role": "user", "content": [{"type": "text", "text": "a"}, {"type": "image"}]}]}, "a"),
        ({"messages": "as a text"}, "as a text"),
        ({"messages": [7]}, "7"),
        ({"answer": {"role": "assistant", "content": "said"}}, "said"),
        ({"answer": {"tool_calls": []}}, '{"tool_calls":[]}'),
        ({"code": "rate_limited"}, "rate_limited"),
        ({"jti": "ab", "roles": ["x"], "address": "::1"}, "jti ab"),
        ({}, ""),
    ],
)
def test_the_text_that_says_most_is_shown(details: dict[str, Any], text: str) -> None:
    assert text_of(details) == text


@for_each("line", [b"", b"{", b"\xff", b"[1]", b"3", b"null"])
def test_a_line_that_is_no_record_is_shown_as_such(line: bytes) -> None:
    shown = summary_of(line)
    assert (shown["seq"], shown["action"], shown["user_id"]) == (-1, "", None)


def test_members_of_another_type_are_left_out() -> None:
    line = orjson.dumps({"seq": 1, "details": {"model": 7, "code": [], "usage": "many", "query": "x" * 999}})
    shown = summary_of(line)
    assert (shown["model"], shown["code"], shown["input_tokens"], len(shown["text"])) == (None, None, None, MAX_TEXT)
    assert summary_of(b'{"details": 3}')["text"] == ""
