"""Service output as JSON: one whole object a line, whatever the text."""

from __future__ import annotations

import json
import logging
import sys
from datetime import datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.kit.json_lines import MAX_CHARS, JsonFormatter, from_stderr, is_wanted, json_line
from app.kit.line_writer import MAX_LINE_CHARS


def record(message: str, *given: object, **more: Any) -> logging.LogRecord:
    return logging.LogRecord("app.test", logging.WARNING, "", 0, message, given, more.get("exc_info"))


@given(st.text(alphabet=st.characters(exclude_categories=())))
def test_any_text_is_one_line_that_says_it(text: str) -> None:
    line = json_line("INFO", "app.test", text)
    assert line.count("\n") == 1
    said = json.loads(line)["message"]
    assert said == text or any("\ud800" <= char <= "\udfff" for char in text)


@given(st.sampled_from(["x", "\x00", "é", '"', "\U0001f600"]), st.integers(0, 2 * MAX_CHARS))
def test_a_line_is_never_cut_in_the_middle(char: str, count: int) -> None:
    line = json_line("INFO", "app.test", char * count, traceback=char * (count // 2))
    assert len(line) <= MAX_CHARS + 1 <= MAX_LINE_CHARS
    assert json.loads(line)["message"][:100] == (char * count)[:100]


def test_a_record_has_its_time_level_and_process() -> None:
    one = record("%s of %d", "two", 3)
    found = json.loads(JsonFormatter().format(one))
    assert (found["level"], found["logger"], found["message"]) == ("WARNING", "app.test", "two of 3")
    assert abs(datetime.fromisoformat(found["timestamp"]).timestamp() - one.created) < 0.001
    assert found["pid"] > 0
    assert found["process"]


def test_a_traceback_is_in_the_line_of_its_message() -> None:
    try:
        raise ValueError("odd")
    except ValueError:
        found = json.loads(JsonFormatter().format(record("it failed", exc_info=sys.exc_info())))
    assert (found["message"], found["error"]) == ("it failed", "ValueError")
    assert found["traceback"].startswith("Traceback (most recent call last):")
    assert found["traceback"].endswith("ValueError: odd\n")


def test_each_printed_line_is_one() -> None:
    lines = from_stderr("one\n\ntwo\n").splitlines()
    assert [(json.loads(line)["logger"], json.loads(line)["message"]) for line in lines] == [("stderr", "one"), ("stderr", "two")]


@pytest.mark.parametrize(
    ("environment", "wanted"), [({}, False), ({"LOG_FORMAT": "json"}, True), ({"LOG_FORMAT": "text"}, False)]
)
def test_it_is_wanted_where_the_setting_says_so(environment: dict[str, str], wanted: bool) -> None:
    assert is_wanted(environment) is wanted
