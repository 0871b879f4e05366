"""Questions and the log as numbers: each question once, each try once, tokens and money of the one that answered."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any, cast

import pytest

from app.assistant.observer import Ended
from app.audit.format.record import Receipt
from app.catalogue.models import Catalogue
from app.catalogue.prices import Price
from app.telemetry.metrics.board import Board, Meter
from app.telemetry.metrics.questions import LogMetrics, QuestionMetrics
from app.upstream.attempts import Attempts
from app.upstream.completion import Completion, Usage

from ....support.asking import PRINCIPAL, origin, prepared
from ....support.caps import CAPS

PRICE = Price(input=10**9, output=2 * 10**9, cached_input=0, cache_write=10**9, reasoning=2 * 10**9)
POLICY = Catalogue({}, CAPS, {}, frozenset(), prices={"alias": PRICE}, currency="EUR")


class Watched:
    def __init__(self) -> None:
        self.board = Board()
        self.metrics = QuestionMetrics(Meter(self.board.pages[0]), lambda: POLICY)

    def ask(self, call: Any = None, how: Ended | None = None, *, is_recorded: bool = True) -> None:
        one = self.metrics.begin(call or prepared(), origin(), PRINCIPAL)
        if is_recorded:
            one.recorded("ask.received", 0.0, Receipt(1, "a" * 64))
        if how is not None:
            one.ended(how)
        one.left()

    def shown(self, name: str) -> dict[tuple[str, ...], float]:
        return {one.labels: one.numbers[0] for one in self.board.read() if one.metric.name == name}


def ended(code: str | None = None, usage: Usage | None = None, tries: tuple[Any, ...] = (), **more: Any) -> Ended:
    attempts = Attempts()
    attempts.tries = list(tries)
    completion = None if code else Completion("fine", "small-1", usage)
    return Ended(prepared(**more), attempts, 1.5, 0.5, completion, code)


def try_of(server: str, why: str | None = None, *, is_skipped: bool = False) -> Any:
    return SimpleNamespace(server=server, why=why, ms=20, is_skipped=is_skipped)


def test_a_question_is_counted_by_how_it_ended() -> None:
    watched = Watched()
    watched.ask(how=ended())
    watched.ask(how=ended("upstream_timeout"))
    watched.ask(prepared(wants_text=True), ended())
    assert watched.shown("questions_total") == {
        ("chat", "alias", "answered"): 1,
        ("chat", "alias", "upstream_timeout"): 1,
        ("ask", "alias", "answered"): 1,
    }


def test_a_question_without_a_recorded_end_stays_open() -> None:
    watched = Watched()
    watched.ask()
    assert watched.shown("questions_received_total") == {("chat", "alias"): 1}
    assert watched.shown("questions_total") == {}


def test_a_question_that_was_never_recorded_is_none() -> None:
    watched = Watched()
    watched.ask(is_recorded=False)
    assert watched.shown("questions_received_total") == {("chat", "alias"): 0}


def test_the_time_to_first_byte_is_that_of_streams() -> None:
    watched = Watched()
    watched.ask(how=ended())
    assert watched.shown("time_to_first_byte_seconds") == {}
    watched.ask(how=ended(is_stream=True))
    assert list(watched.shown("time_to_first_byte_seconds")) == [("alias",)]


def test_each_try_is_counted_by_its_server_and_what_went_wrong() -> None:
    watched = Watched()
    tries = (try_of("lab", "breaker_open", is_skipped=True), try_of("lab", "connect"), try_of("spare"))
    watched.ask(how=ended(tries=tries))
    assert watched.shown("upstream_tries_total") == {("lab", "breaker_open"): 1, ("lab", "connect"): 1, ("spare", "ok"): 1}
    taken = {one.labels: sum(one.numbers[:-1]) for one in watched.board.read() if one.metric.name == "upstream_try_seconds"}
    assert taken == {("lab",): 1, ("spare",): 1}


def test_tokens_and_money_are_those_that_are_billed() -> None:
    watched = Watched()
    watched.ask(how=ended(usage=Usage(1_000, 500, further=(0, 100), cached=400, reasoning=50)))
    assert watched.shown("tokens_total") == {
        ("alias", "input"): 1000,
        ("alias", "output"): 600,
        ("alias", "cached_input"): 400,
        ("alias", "reasoning"): 50,
    }
    assert watched.shown("spent_currency_units_total") == {("alias", "EUR"): pytest.approx(0.0006 + 0.0012)}


def test_a_model_without_a_price_costs_nothing_that_is_known() -> None:
    watched = Watched()
    watched.metrics = QuestionMetrics(Meter(watched.board.pages[0]), lambda: replace(POLICY, prices={}))
    watched.ask(how=ended(usage=Usage(10, 5)))
    assert watched.shown("spent_currency_units_total") == {}


def test_records_are_observed_one_by_one_and_writes_once() -> None:
    board = Board()
    log = LogMetrics(Meter(board.pages[0]))
    log.batch(8, 0.003)
    log.sync(0.002)
    log.durable(8, 0.004)
    counts = {one.metric.name: sum(one.numbers[:-1]) for one in board.read() if one.metric.kind == "histogram"}
    expected = {"audit_group_records": 1, "audit_write_seconds": 1, "audit_sync_seconds": 1, "audit_append_seconds": 8}
    assert cast(dict[str, float], counts) == expected
