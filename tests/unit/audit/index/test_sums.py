"""Sums by day, principal and model: what was asked, answered, refused; tokens, money, times."""

from __future__ import annotations

import pytest

from app.audit.index import sums as index_sums
from app.audit.index.schema import BUCKETS_MS
from app.audit.index.sums import quantile, refusals, sums, unpriced

from ....support.indexed import Indexed

DAY = 86_400
SPENT = {"id": "principal=alice/day/money", "period": "2026-11-21", "by": "usage"}


def test_questions_are_summed_by_day_principal_and_model(indexed: Indexed) -> None:
    indexed.ask("alice", "q", "a")
    indexed.ask("bobby", "q", "a", model="llama", seconds=DAY)
    received = indexed.add("ask.received", "alice", DAY, query="q", model="gpt")
    indexed.add("ask.failed", "alice", DAY, received=received, code="upstream_timeout", elapsed_ms=9_000)
    indexed.add("ask.refused", "alice", DAY, code="overloaded")
    path = indexed.build()
    by_day = {row["name"]: [row[name] for name in ("questions", "answered", "failed", "refused")] for row in sums(path, "day")}
    assert by_day == {"2026-11-20": [1, 1, 0, 0], "2026-11-21": [2, 1, 1, 1]}
    principals = [(row["name"], row["questions"], row["output"]) for row in sums(path, "principal")]
    assert principals == [
        ("alice", 2, 5),
        ("bobby", 1, 5),
    ]
    models = {row["name"]: (row["questions"], row["failed"], row["refused"]) for row in sums(path, "model")}
    assert models == {"gpt": (2, 1, 0), "llama": (1, 0, 0), "": (0, 0, 1)}
    assert [row["questions"] for row in sums(path, "day", user="bobby", since="2026-11-21", until="2026-11-21")] == [1]


def test_money_is_what_the_record_says_else_its_tokens_are_told(indexed: Indexed) -> None:
    money = {**SPENT, "unit": "EUR", "amount": "0.0125"}
    of_all = {**money, "id": "all/day/money"}
    tokens = {**SPENT, "id": "all/day/tokens", "unit": "tokens", "amount": 15}
    indexed.ask("alice", "q", "a", spent=[money, of_all, tokens])
    indexed.ask("alice", "q", "a", model="llama")
    path = indexed.build()
    assert {row["name"]: row["nano"] for row in sums(path, "model")} == {"gpt": 12_500_000, "llama": 0}
    indexed.ask("bobby", "q", "a", model="llama", seconds=DAY)
    path, whole = indexed.build(), {"since": "", "until": "9999"}
    assert unpriced(path, "model", user=None, **whole) == [("llama", "llama", 20, 10)]
    assert unpriced(path, "principal", user=None, **whole) == [("alice", "llama", 10, 5), ("bobby", "llama", 10, 5)]
    assert unpriced(path, "day", user="bobby", **whole) == [("2026-11-21", "llama", 10, 5)]


def test_of_more_days_than_are_shown_the_newest_are(indexed: Indexed, monkeypatch: pytest.MonkeyPatch) -> None:
    for day in range(3):
        indexed.ask("alice", "q", "a", seconds=day * DAY)
    path = indexed.build()
    monkeypatch.setattr(index_sums, "MAX_ROWS", 2)
    assert [row["name"] for row in sums(path, "day")] == ["2026-11-21", "2026-11-22"]


def test_absurd_counts_of_a_models_server_break_no_sum(indexed: Indexed) -> None:
    for amount in ("1", "4000000000"):
        money = {**SPENT, "unit": "EUR", "amount": amount}
        for _ in range(1_100):
            indexed.ask("alice", "q", "a", usage={"input_tokens": 2**53, "output_tokens": 0}, spent=[money])
        path = indexed.build()
    (row,) = sums(path, "model")
    assert (row["questions"], row["input"], row["nano"]) == (2_200, 2**53, 2**53)


def test_refusals_are_counted_by_code_with_those_of_summaries(indexed: Indexed) -> None:
    indexed.add("request.refused", "alice", code="rate_limited")
    indexed.add("request.refused_summary", None, codes={"rate_limited": 40, "invalid_token": 2}, total=42)
    path = indexed.build()
    assert refusals(path) == [{"code": "rate_limited", "count": 41}, {"code": "invalid_token", "count": 2}]
    assert refusals(path, user="alice") == [{"code": "rate_limited", "count": 1}]


def test_a_quantile_lies_within_its_bucket() -> None:
    counts = [0] * (len(BUCKETS_MS) + 1)
    assert quantile(counts, 0.5) is None
    counts[2] = 100
    assert 250 < (quantile(counts, 0.5) or 0) <= 500
    counts[-1] = 900
    assert quantile(counts, 0.95) == 60_000
