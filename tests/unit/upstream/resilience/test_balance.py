"""Which server of several is asked first."""

from __future__ import annotations

import random
from collections import Counter
from types import SimpleNamespace
from typing import Any

from app.catalogue.models import ServedBy, Server
from app.catalogue.rules import BreakerRules
from app.upstream.resilience.balance import ordered
from app.upstream.resilience.breaker import Breaker, Outcome

SERVERS = [ServedBy(Server(name, None, ""), weight, "m") for name, weight in (("large", 3), ("small", 1))]


def upstreams(*, large: int = 0, small: int = 0, resting: str = "") -> Any:
    return {
        name: SimpleNamespace(slots=SimpleNamespace(in_flight=count), breaker=SimpleNamespace(is_resting=name == resting))
        for name, count in (("large", large), ("small", small))
    }


def firsts(known: Any, count: int = 4000) -> Counter[str]:
    dice = random.Random(11)
    return Counter(ordered(SERVERS, known, dice.random)[0].server.name for _ in range(count))


def test_idle_servers_are_chosen_by_their_weight() -> None:
    assert 2900 < firsts(upstreams())["large"] < 3100


def test_a_busy_server_leaves_questions_to_the_other() -> None:
    assert firsts(upstreams(large=30, small=1)) == {"small": 4000}
    assert firsts(upstreams(large=3, small=2)) == {"large": 4000}, "3 of 3 is less than 2 of 1"


def test_a_server_that_rests_comes_last() -> None:
    order = [one.server.name for one in ordered(SERVERS, upstreams(small=9, resting="large"))]
    assert order == ["small", "large"]


def test_a_server_that_has_rested_is_asked_again_while_another_answers() -> None:
    known = upstreams(small=9)
    known["large"].breaker = breaker = Breaker("large", BreakerRules(failures=1, open_seconds=0))
    breaker.leave(breaker.enter(), Outcome.BAD)
    assert breaker.is_open
    assert ordered(SERVERS, known)[0].server.name == "large"


def test_all_are_tried_where_all_breakers_are_open() -> None:
    known = upstreams(large=1)
    for upstream in known.values():
        upstream.breaker.is_resting = True
    assert len(ordered(SERVERS, known)) == 2


def test_load_is_shared_by_weight_while_many_are_in_flight() -> None:
    dice, known = random.Random(3), upstreams()
    for _ in range(400):
        known[ordered(SERVERS, known, dice.random)[0].server.name].slots.in_flight += 1
    assert 290 <= known["large"].slots.in_flight <= 310
