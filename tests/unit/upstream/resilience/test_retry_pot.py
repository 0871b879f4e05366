"""The retry budget: a share of all questions, and of it a part for each principal."""

from __future__ import annotations

import random

from app.upstream.resilience.retry_pot import MAX_PRINCIPALS, MOST, START, RetryPot


def test_retries_are_a_share_of_what_is_asked_and_a_few_to_begin_with() -> None:
    pot, taken = RetryPot(), 0
    for _ in range(1000):
        pot.add("alice", 0.2)
        taken += pot.take("alice")
    assert 190 <= taken <= 200 + START


def test_the_sum_holds_however_many_principals_ask() -> None:
    pot, dice, taken = RetryPot(), random.Random(7), 0
    for _ in range(5000):
        who = f"p{dice.randrange(40)}"
        pot.add(who, 0.2)
        taken += pot.take(who)
    assert taken <= 1000 + START


def test_one_whose_questions_all_fail_leaves_the_others_theirs() -> None:
    pot = RetryPot()
    for _ in range(100):
        pot.add("greedy", 0.2)
        pot.add("quiet", 0.2)
        pot.take("greedy")
        pot.take("greedy")
    assert pot.take("quiet")


def test_the_first_question_of_a_service_may_be_sent_again() -> None:
    pot = RetryPot()
    pot.add("alice", 0.2)
    assert pot.take("alice")
    assert not pot.take("alice"), "what is left is for others"


def test_quiet_hours_save_up_only_so_much() -> None:
    pot, taken = RetryPot(), 0
    for number in range(10_000):
        pot.add(f"p{number % 50}", 0.2)
    while any(pot.take(f"p{number}") for number in range(50)):
        taken += 1
    assert taken <= MOST


def test_a_share_of_nothing_adds_none() -> None:
    pot = RetryPot()
    for _ in range(100):
        pot.add("alice", 0.0)
    assert [pot.take("alice"), pot.take("alice"), pot.take("bob")] == [True, False, False]


def test_who_asked_least_lately_is_forgotten_first() -> None:
    pot = RetryPot()
    for number in range(2 * MAX_PRINCIPALS):
        pot.add(f"p{number}", 0.2)
    assert len(pot._own) == MAX_PRINCIPALS
