"""Files stay short, functions fit a screen, comments are brief, and the prose is plain."""

from __future__ import annotations

import ast
import io
import re
import statistics
import tokenize
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest

from ..support.paths import ROOT

FILES = {path.relative_to(ROOT).as_posix(): path for path in sorted((ROOT / "app").rglob("*.py"))}
ONE_STANDARD = "app/audit/format/merkle.py"
"""Implements RFC 6962 and RFC 9162, and is left as it is."""
MAX_FILE_LINES = 250
MAX_FUNCTION_LINES = 50
MAX_MEDIAN_LINES = 120
MAX_PROSE_COLUMNS = 100
MAX_COMMENT_LINES = 2
NOT_PLAIN = re.compile(r"\b(he|his|him|himself|whoever|whom|thereof|likewise|anew)\b", re.IGNORECASE)


def lines_of(path: Path) -> int:
    return len(path.read_text().splitlines())


@pytest.mark.parametrize("name", FILES)
def test_a_file_is_at_most_250_lines_long(name: str) -> None:
    assert name == ONE_STANDARD or lines_of(FILES[name]) <= MAX_FILE_LINES


def test_the_median_file_is_under_120_lines() -> None:
    assert statistics.median(map(lines_of, FILES.values())) < MAX_MEDIAN_LINES


@pytest.mark.parametrize("name", FILES)
def test_a_function_is_at_most_50_lines_long(name: str) -> None:
    functions = [
        node for node in ast.walk(ast.parse(FILES[name].read_text())) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    ]
    lengths = {node.name: (node.end_lineno or 0) - node.lineno + 1 for node in functions}
    assert {one: length for one, length in lengths.items() if length > MAX_FUNCTION_LINES and one != "_prove"} == {}


def comments(text: str) -> Iterator[tuple[int, str, bool]]:
    """Line number, text, and whether the comment has its line for itself."""
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type == tokenize.COMMENT:
            yield token.start[0], token.string, token.line[: token.start[1]].strip() == ""


def docstrings(text: str) -> Iterator[tuple[int, str]]:
    """Line number and line of every string that stands alone as a statement."""
    lines = text.splitlines()
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str):
            assert node.end_lineno is not None
            for number in range(node.lineno, node.end_lineno + 1):
                yield number, lines[number - 1]


@pytest.mark.parametrize("name", FILES)
def test_comments_are_one_or_two_lines_of_at_most_100_columns(name: str) -> None:
    text = FILES[name].read_text()
    alone = [number for number, _, is_alone in comments(text) if is_alone]
    runs = [1]
    for before, after in pairwise(alone):
        runs.append(runs[-1] + 1 if after == before + 1 else 1)
    assert max(runs) <= MAX_COMMENT_LINES, "a longer explanation belongs into docs/, named in the comment"
    lines = text.splitlines()
    wide = [number for number, _, is_alone in comments(text) if is_alone and len(lines[number - 1]) > MAX_PROSE_COLUMNS]
    wide += [number for number, line in docstrings(text) if len(line) > MAX_PROSE_COLUMNS]
    assert wide == []


@pytest.mark.parametrize("name", FILES)
def test_prose_is_plain(name: str) -> None:
    text = FILES[name].read_text()
    prose = [(number, comment) for number, comment, _ in comments(text)] + list(docstrings(text))
    assert [(number, line.strip()) for number, line in prose if NOT_PLAIN.search(line)] == []
