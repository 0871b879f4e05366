"""A refusal names the member, in the message too, and never shows a secret."""

from __future__ import annotations

import ast
import inspect

import pytest

from app.assistant import v1_refusals
from app.assistant.v1_refusals import shown
from app.errors import InvalidParameter

from ...support.paths import ROOT

REFUSALS = [one for name, one in vars(v1_refusals).items() if inspect.isfunction(one) and name not in ("shown", "masked")]
SECRET = "sk-proj-Tq3vXz81LmPwK0aYbN7rEdQ2"


def test_every_message_begins_with_the_name_of_the_member() -> None:
    """Nobody who raises one can leave it out: the name is part of the sentence."""
    assert InvalidParameter("n", "is too large.").detail == "n is too large."
    for refusal in REFUSALS:
        more = ["a word"] * (len(inspect.signature(refusal).parameters) - 1)
        error = refusal("input[0].x", *more)
        assert (error.param, error.detail[:11]) == ("input[0].x", "input[0].x "), refusal.__name__


def raised() -> list[ast.Call]:
    """Every call in app/ that makes an InvalidParameter, or one by a function of this module."""
    makers = {"InvalidParameter", *(refusal.__name__ for refusal in REFUSALS)}
    trees = [ast.parse(path.read_text()) for path in sorted((ROOT / "app").rglob("*.py"))]
    calls = [node for tree in trees for node in ast.walk(tree) if isinstance(node, ast.Call)]
    return [call for call in calls if isinstance(call.func, ast.Name) and call.func.id in makers]


@pytest.mark.slow
def test_every_sentence_goes_on_after_the_name() -> None:
    sentences = [text for call in raised() for text in map(_text_of, call.args[1:2]) if text is not None]
    assert len(sentences) > 10
    wrong = [text for text in sentences if not text[:1].islower()]
    assert wrong == []


def _text_of(node: ast.expr) -> str | None:
    """The constant beginning of a text; None for what is put together elsewhere."""
    if isinstance(node, ast.JoinedStr):
        node = node.values[0]
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else None


@pytest.mark.parametrize(
    ("name", "as_shown"),
    [("x" * 200, "x" * 99 + "…"), ("\ud800", "\\ud800"), ("a\nb", "a\\nb"), ("max_tokens", "max_tokens")],
)
def test_a_name_is_shown_short_and_printable(name: str, as_shown: str) -> None:
    assert shown(name) == as_shown


def test_a_name_that_looks_like_a_secret_is_shown_as_a_digest() -> None:
    assert SECRET not in shown(SECRET)
    assert shown(SECRET).startswith("sha256:")
