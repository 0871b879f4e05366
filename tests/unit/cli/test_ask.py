"""An answer goes to stdout; its receipt, and that it was cut off, to stderr."""

from __future__ import annotations

import json
from typing import Any

import pytest

from app.cli import http_client

from ...support.commands import Run

ANSWER = {"answer": "Paris\x1b\nFrance", "receipt": {"seq": 3, "hash": "ab" * 32}}


@pytest.mark.parametrize(
    ("reason", "notice"),
    [
        ("length", "The answer is cut off: it reached the longest length that is allowed (LLM_MAX_TOKENS).\n"),
        ("content_filter", "The answer is cut off: content_filter.\n"),
        ("stop", ""),
    ],
)
def test_an_answer_that_was_cut_off_says_so(
    reason: str, notice: str, run: Run, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(http_client, "ask", lambda *_: {**ANSWER, "finish_reason": reason})
    monkeypatch.setattr(http_client, "stream", lambda *_: iter([("done", {**ANSWER, "finish_reason": reason})]))
    for options in ([], ["--stream"]):
        assert run("ask", "Hello?", "--token", "x", *options) == 0
        assert capsys.readouterr().err == f"{notice}receipt 3:{'ab' * 32}\n"


def test_an_answer_goes_to_stdout_and_its_receipt_to_stderr(
    run: Run, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def stream(*_: str) -> Any:
        yield "delta", {"text": "Paris\x1b\n"}
        yield "delta", {"text": "France"}
        yield "done", ANSWER

    monkeypatch.setattr(http_client, "ask", lambda *_: ANSWER)
    monkeypatch.setattr(http_client, "stream", stream)
    shown = ("Paris\\x1b\nFrance\n", f"receipt 3:{'ab' * 32}\n")
    for options in ([], ["--stream"]):
        assert run("ask", "Hello?", "--token", "x", *options) == 0
        assert capsys.readouterr() == shown
    for options in ([], ["--stream"]):
        assert run("ask", "Hello?", "--token", "x", "--json", *options) == 0
        out, err = capsys.readouterr()
        assert (json.loads(out), err) == (ANSWER, "")
