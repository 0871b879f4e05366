"""What a record or an answer says cannot control the terminal; documents are one line of JSON."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.cli.output import header, one_line, printable, printable_lines, receipt_name, say

from ...support.tables import for_each

RECORD = {
    "seq": 7,
    "timestamp": "2026-01-02T03:04:05.678901Z",
    "request_id": "0123456789abcdef" * 2,
    "user_id": "alice",
    "action": "ask.received",
    "details": {"query": "What is the capital of France?"},
}


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain", "plain"),
        ("é 水 🙂", "é 水 🙂"),
        ("a\x1b[31mb", "a\\x1b[31mb"),
        ("a\nb\tc\r", "a\\nb\\tc\\r"),
        ("\x00\x7f\x9b", "\\x00\\x7f\\x9b"),
        ("\u202e\u2028", "\\u202e\\u2028"),
        ("\ud800", "\\ud800"),
    ],
)
def test_characters_that_do_not_print_are_escaped(text: str, shown: str) -> None:
    assert printable(text) == shown


@given(st.text(st.characters()))
def test_no_text_becomes_anything_but_printable_characters(text: str) -> None:
    assert printable(text).isprintable()
    printable(text).encode()
    assert printable_lines(text).split("\n") == [printable(line) for line in text.split("\n")]


def test_a_record_is_one_line_of_columns() -> None:
    assert one_line(RECORD) == (
        "     7  2026-01-02T03:04:05.678901Z  ask.received      alice         01234567  What is the capital of France?"
    )


def test_each_column_stands_under_its_name() -> None:
    names, values = header(), one_line(RECORD)
    for name, value in (("time (UTC)", "2026-"), ("action", "ask."), ("user", "alice"), ("request", "0123"), ("text", "What")):
        assert names.index(name) == values.index(value)
    assert names.index("seq") + 3 == values.index("7") + 1


@for_each(
    ("details", "summary"),
    [
        ({"received": 7, "answer": "Paris"}, "Paris"),
        ({"code": "invalid_token"}, "invalid_token"),
        ({"client_id": "carol", "roles": []}, "carol"),
        ({"query": "x" * 100}, "x" * 100),
        ({"query": "x" * 101}, "x" * 99 + "…"),
        ({"query": "a\nb\x1b"}, "a\\nb\\x1b"),
        ({"query": ["not", "text"]}, "['not', 'text']"),
        ({"jti": "ab", "roles": []}, "ab"),
        ({"messages": [{"role": "system", "content": "No."}, {"role": "user", "content": "Hello?"}]}, "Hello?"),
        (
            {"messages": [{"content": [{"type": "text", "text": "What is"}, {"type": "image_url"}, {"text": "this?"}]}]},
            "What is this?",
        ),
        ({"messages": "Hello?"}, "Hello?"),
        ({"messages": ["one", "two"]}, "two"),
    ],
)
def test_a_line_ends_with_the_beginning_of_the_record_s_text(details: dict[str, object], summary: str) -> None:
    assert one_line({**RECORD, "details": details}).endswith(f"  01234567  {summary}")


@pytest.mark.parametrize(
    "record", [{"unreadable": "a\nb"}, {"details": None}, {"details": []}, {"details": {}}, {"details": {"messages": [{}]}}, {}]
)
def test_what_is_no_record_is_one_line_too(record: dict[str, object]) -> None:
    assert one_line(record).isprintable()


def test_a_record_of_nobody_has_no_trailing_blanks() -> None:
    assert one_line({**RECORD, "user_id": None, "details": {}}).endswith("ask.received      -             01234567")


def test_a_receipt_is_named_by_number_and_hash() -> None:
    assert receipt_name(3, "ab" * 32) == f"3:{'ab' * 32}"


def test_either_the_document_or_the_text_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    document = {"text": "a\nb\u2028"}
    say(document, True, "for people")
    printed = capsys.readouterr().out
    assert printed.count("\n") == 1
    assert json.loads(printed) == document
    say(document, False, "for people")
    assert capsys.readouterr().out == "for people\n"
