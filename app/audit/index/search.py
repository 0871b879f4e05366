"""Searches the index: the records of a principal, an action, a model, a time, with some words."""

from __future__ import annotations

import re
import sqlite3
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .facts import spaced, tag
from .schema import reading

MAX_FOUND = 200
MAX_COUNTED = 1_000
"""More than so many are not counted."""
MAX_WORDS = 20


@dataclass(frozen=True, slots=True)
class Filter:
    """None: any. Times in milliseconds since 1970; *before*: only records of a lower number."""

    user: str | None = None
    action: str | None = None
    model: str | None = None
    text: str | None = None
    since: int | None = None
    until: int | None = None
    before: int | None = None
    limit: int = 50

    def members(self) -> dict[str, Any]:
        """What is set, as a record holds it."""
        names = ("user", "action", "model", "text", "since", "until", "before")
        return {name: value for name in names if (value := getattr(self, name)) is not None}


@dataclass(frozen=True, slots=True)
class Found:
    """*count*: at most MAX_COUNTED + 1. *indexed*: records in the index."""

    seqs: list[int]
    count: int
    indexed: int


def search(index: Path, wanted: Filter) -> Found:
    """Newest first. Blocks. Raises Unavailable while there is no index."""
    with reading(index) as connection:
        indexed = connection.execute("SELECT seq + 1 FROM state").fetchone()[0]
        matching, values = _matching(wanted)
        if matching is None:
            return Found([], 0, indexed)
        page = f"{matching} ORDER BY 1 DESC LIMIT {min(wanted.limit, MAX_FOUND)}"
        found = [row[0] for row in connection.execute(page, values)]
        count = f"SELECT count(*) FROM ({matching} LIMIT {MAX_COUNTED + 1})"  # noqa: S608 - only placeholders
        return Found(found, connection.execute(count, values).fetchone()[0], indexed)


def find_all(index: Path, wanted: Filter, most: int) -> Found:
    """As `search`, but oldest first, and as many as there are: at most *most* + 1."""
    with reading(index) as connection:
        indexed = connection.execute("SELECT seq + 1 FROM state").fetchone()[0]
        matching, values = _matching(wanted)
        if matching is None:
            return Found([], 0, indexed)
        found = [row[0] for row in connection.execute(f"{matching} ORDER BY 1 LIMIT {most + 1}", values)]
        return Found(found, len(found), indexed)


def size_of(index: Path) -> int:
    """Records in the index. Raises Unavailable."""
    with reading(index) as connection:
        return int(connection.execute("SELECT seq + 1 FROM state").fetchone()[0])


def known_names(index: Path, user: str | None = None) -> dict[str, list[str]]:
    """The models and principals of the sums, for lists to choose from."""
    with reading(index) as connection:
        where, values = ("", ()) if user is None else (" WHERE user = ?", (user,))
        models = f"SELECT DISTINCT model FROM sums{where} ORDER BY 1"  # noqa: S608 - only placeholders
        users = f"SELECT DISTINCT user FROM sums{where} ORDER BY 1"  # noqa: S608 - only placeholders
        return {
            "models": [row[0] for row in connection.execute(models, values) if row[0]],
            "users": [row[0] for row in connection.execute(users, values) if row[0]],
        }


def irregularities(index: Path, limit: int = 100) -> dict[str, Any]:
    """Questions without an end, and times without a record: newest first, and how many."""
    with reading(index) as connection:
        connection.row_factory = sqlite3.Row
        opened = connection.execute("SELECT seq, time, user, model FROM open ORDER BY seq DESC LIMIT ?", (limit,))
        gaps = connection.execute("SELECT seq, time, seconds FROM gaps ORDER BY seq DESC LIMIT ?", (limit,))
        counts = connection.execute("SELECT (SELECT count(*) FROM open) AS open, (SELECT count(*) FROM gaps) AS gaps").fetchone()
        return {"open": [dict(row) for row in opened], "gaps": [dict(row) for row in gaps], "counts": dict(counts)}


def match_words(text: str) -> str | None:
    """*text* in the language of FTS5: each word, or the beginning of one. None: it has no word."""
    words = re.findall(r"\w+", text)[:MAX_WORDS]
    return " AND ".join(f'text : "{" ".join(spaced(word).split())}"*' for word in words) or None


def _matching(wanted: Filter) -> tuple[str | None, list[Any]]:
    """A query for the numbers, and its values."""
    words = match_words(wanted.text) if wanted.text and wanted.text.strip() else ""
    if words is None:
        return None, []
    bounds, values = _bounds(wanted)
    if words:
        tags = [tag(kind, name) for kind, name in zip("uam", _names(wanted), strict=True) if name is not None]
        match = " AND ".join([*(f'tags : "{one}"' for one in tags), words])
        where = "".join(f" AND rowid {bound}" for bound in bounds)
        return f"SELECT rowid FROM texts WHERE texts MATCH ?{where}", [match, *values]  # noqa: S608 - only placeholders
    by = [(column, name) for column, name in zip(("user", "action", "model"), _names(wanted), strict=True) if name is not None]
    named = [f"{column} = (SELECT id FROM names WHERE name = ?)" for column, _ in by]  # noqa: S608 - names of ours
    where = " AND ".join([*named, *(f"seq {bound}" for bound in bounds)]) or "true"
    return f"SELECT seq FROM records WHERE {where}", [*(name for _, name in by), *values]  # noqa: S608 - only placeholders


def _names(wanted: Filter) -> tuple[str | None, ...]:
    return wanted.user, wanted.action, wanted.model


def _bounds(wanted: Filter) -> tuple[list[str], list[int]]:
    """Of the numbers. Times become numbers first: the log is in the order of both, clocks apart."""
    bounds, values = [], []
    if wanted.since is not None:
        bounds.append(">= (SELECT coalesce(min(seq), 9e15) FROM records WHERE time >= ?)")
        values.append(wanted.since)
    if wanted.until is not None:
        bounds.append("<= (SELECT coalesce(max(seq), -1) FROM records WHERE time < ?)")
        values.append(wanted.until)
    if wanted.before is not None:
        bounds.append("< ?")
        values.append(wanted.before)
    return bounds, values
