"""The error tree: every class has a code and a sentence, is drawn at the top of its file, and knows no HTTP."""

from __future__ import annotations

import re

from app import errors
from app.errors import AppError, InvalidParameter, VerificationFailed
from app.security.token_errors import TokenError

from ..support.error_tree import every_error_class, example_of
from ..support.tables import for_each

EVERY = every_error_class()
HTTP_WORDS = re.compile(r"\b(GET|POST|PUT|HEAD|HTTP|Authorization|Retry-After|headers?|status)\b|(^|\s)/[a-z]")


@for_each("kind", EVERY)
def test_every_error_has_a_code_for_machines_and_a_sentence_for_people(kind: type[AppError]) -> None:
    error = example_of(kind)
    assert re.fullmatch(r"[a-z_]+", error.code)
    begin = "n " if isinstance(error, InvalidParameter) else "[A-Z0-9]"  # the member as it is spelled
    assert re.fullmatch(rf"{begin}.*\.", error.detail)
    assert str(error) == error.detail
    assert error.retry_after is None or error.retry_after > 0


@for_each("kind", [kind for kind in EVERY if kind.__module__ == "app.errors"])
def test_no_sentence_of_the_tree_knows_http(kind: type[AppError]) -> None:
    assert HTTP_WORDS.search(kind.detail) is None


@for_each("kind", EVERY)
def test_the_tree_at_the_top_of_the_file_draws_every_error(kind: type[AppError]) -> None:
    """Those of other files by their own name, or by the name of their file."""
    tree = errors.__doc__ or ""
    file = kind.__module__.replace(".", "/") + ".py"
    assert re.search(rf"\b{kind.__name__}\b", tree) or (file != "app/errors.py" and file in tree)


def test_the_tree_draws_no_error_that_is_gone() -> None:
    drawn = set(re.findall(r"\b(?:[A-Z][a-z]+){2,}\b", errors.__doc__ or ""))
    assert drawn - {kind.__name__ for kind in EVERY} <= {"ValueError"}


def test_every_reason_against_a_token_has_a_code_of_its_own() -> None:
    codes = [kind.code for kind in EVERY if issubclass(kind, TokenError)]
    assert len(set(codes)) == len(codes) > 15


@for_each("kind", EVERY)
def test_errors_that_mean_a_bad_value_are_value_errors_too(kind: type[AppError]) -> None:
    assert issubclass(kind, ValueError) == issubclass(kind, TokenError | VerificationFailed)


def test_a_detail_of_its_own_replaces_the_sentence_of_the_class() -> None:
    error = AppError("The disk is full.", retry_after=3)
    assert (error.detail, str(error), error.retry_after) == ("The disk is full.", "The disk is full.", 3)
    assert AppError.detail != error.detail
