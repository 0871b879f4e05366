"""Rows of text as columns."""

from __future__ import annotations

from collections.abc import Sequence

from .output import printable


def columns(names: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """One line for the names, one for each row; each column is as wide as its longest text."""
    lines = [list(map(printable, line)) for line in (names, *rows)]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return "\n".join("  ".join(text.ljust(width) for text, width in zip(line, widths, strict=True)).rstrip() for line in lines)
