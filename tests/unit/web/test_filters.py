"""Parameters of a search as a filter: days and times, empty ones left out."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

import pytest

from app.audit.index.search import MAX_FOUND, Filter
from app.errors import InvalidRequest
from app.web.filters import day_of, filter_of

from ...support.http_request import request_of
from ...support.tables import for_each

DAY = 1_795_132_800_000  # 2026-11-20


def asked(**values: str) -> Any:
    request = request_of("/audit/search")
    request.scope["query_string"] = urlencode(values).encode()
    return request


@for_each(
    ("given", "wanted"),
    [
        ({}, Filter()),
        ({"user": "", "text": "", "since": ""}, Filter()),
        ({"user": "alice", "limit": "7", "before": "12"}, Filter(user="alice", limit=7, before=12)),
        ({"since": "2026-11-20"}, Filter(since=DAY)),
        ({"until": "2026-11-20"}, Filter(until=DAY + 86_400_000)),
        ({"since": "2026-11-20T01:00:00+01:00"}, Filter(since=DAY)),
        ({"until": "2026-11-20T00:00:00Z"}, Filter(until=DAY)),
        ({"until": "9999-12-31"}, Filter(until=253_402_300_800_000)),
        ({"until": "2026-11-20t00:00:00.25z"}, Filter(until=DAY + 250)),
    ],
)
def test_parameters_become_a_filter(given: dict[str, str], wanted: Filter) -> None:
    assert filter_of(asked(**given)) == wanted


@for_each("text", ["", "0", "007", "-1", "+1", "1.5", "1_0", "many", "\u0663", "1e1", " 1", str(MAX_FOUND + 1), "9" * 200])
def test_a_number_has_one_spelling_and_bounds(text: str) -> None:
    with pytest.raises(InvalidRequest, match=f"limit is a number from 1 to {MAX_FOUND}"):
        filter_of(asked(limit=text))
    assert filter_of(asked(limit="1")).limit == 1
    assert filter_of(asked(limit=str(MAX_FOUND))).limit == MAX_FOUND


@for_each(
    "text",
    [
        *("2026-02-30", "now", "9999-12-31T23:59:59-23:59:59.9x", "20261120", "2026-W01-1", "2026-1-5", "\u0662026-11-20"),
        *(
            "2026-11-20T09:15:00",
            "2026-11-20T09:15Z",
            "2026-11-20 09:15:00Z",
            "2026-11-20T24:00:00Z",
            "2026-11-20T00:00:00+00:99",
        ),
    ],
)
def test_a_time_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(InvalidRequest, match="since is a day"):
        filter_of(asked(since=text))


def test_a_day_has_a_default_and_one_spelling() -> None:
    assert day_of(asked(), "since", "2026-11-01") == "2026-11-01"
    for text in ("20.11.2026", "20261120", "2026-1-5", "2026-W01-1", "2026-02-30", "2026-11-20T00:00:00Z"):
        with pytest.raises(InvalidRequest):
            day_of(asked(since=text), "since", "2026-11-01")
