"""A batch: all shares or none, in the order of the steps, and never below nothing."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from app.limits.budgets.batch import Batch, bounded, pots_of
from app.limits.budgets.reservations import MOST_AMOUNT, Pot
from app.limits.budgets.store import Outcome, PotState, Settle, Step, Take

from ....support.budgets import DAY, share

ONE, OTHER = Pot("all/day/tokens", DAY), Pot("principal=alice/day/tokens", DAY)


def run(
    steps: list[Step], pots: dict[Pot, list[int]] | None = None, ended: set[str] | None = None
) -> tuple[Batch, list[Outcome]]:
    batch = Batch({pot: [0, 0, 0, 0] for pot in pots_of(steps)} | (pots or {}), ended or set())
    return batch, batch.apply(steps)


def test_what_does_not_fit_into_one_budget_is_reserved_of_none() -> None:
    step = Take("a", 0, (share(30, 100, pot=ONE), share(30, 20, pot=OTHER)))
    batch, (outcome,) = run([step])
    assert outcome.lacking == (1,)
    assert (batch.taken, batch.pots) == ({}, {ONE: [0, 0, 0, 0], OTHER: [0, 0, 0, 0]})


def test_spent_and_open_together_fill_a_budget_to_the_last_unit() -> None:
    takes: list[Step] = [Take(str(number), 0, (share(30, 100),)) for number in range(4)]
    _, outcomes = run(takes, {share(0).pot: [10, 0, 0, 0]})
    assert [bool(one.lacking) for one in outcomes] == [False, False, False, True]
    assert outcomes[-1].states[0].left(100) == 0


def test_what_was_added_counts_and_what_one_settles_the_next_may_take() -> None:
    steps: list[Step] = [Settle("a", (share(100),), (40,)), Take("b", 0, (share(70),))]
    batch, (settled, taken) = run(steps, {share(0).pot: [0, 100, 10, 0]}, {"a"})
    assert (settled.states[0], taken.lacking) == (PotState(40, 0, 10), ())
    assert batch.pots[share(0).pot] == [40, 70, 10, 0]


def test_a_reservation_is_settled_once() -> None:
    steps: list[Step] = [Settle("a", (share(50),), (20,)), Settle("a", (share(50),), (20,)), Settle("gone", (share(50),), (20,))]
    batch, _ = run(steps, {share(0).pot: [0, 50, 0, 0]}, {"a"})
    assert batch.pots[share(0).pot] == [20, 0, 0, 0]


def test_one_taken_and_settled_in_the_same_batch_leaves_no_row() -> None:
    batch, _ = run([Take("a", 0, (share(50),)), Settle("a", (share(50),), (5,))])
    assert (batch.taken, batch.pots[share(0).pot]) == ({}, [5, 0, 0, 0])


def test_an_alarm_is_given_once_at_four_fifths() -> None:
    steps: list[Step] = [Settle("a", (share(1),), (79,)), Settle("b", (share(1),), (1,)), Settle("c", (share(1),), (1,))]
    _, outcomes = run(steps, {share(0).pot: [0, 3, 0, 0]}, {"a", "b", "c"})
    assert [one.alarms for one in outcomes] == [(), (0,), ()]


@given(st.lists(st.tuples(st.integers(0, 40), st.integers(0, 40)), max_size=30))
def test_settled_and_open_together_are_never_over(wanted: list[tuple[int, int]]) -> None:
    steps: list[Step] = []
    for number, (reserved, spent) in enumerate(wanted):
        steps.append(Take(str(number), 0, (share(reserved),)))
        if number % 3 == 0:
            steps.append(Settle(str(number), (share(reserved),), (min(spent, reserved),)))
    _, outcomes = run(steps)
    assert all(one.states[0].spent + one.states[0].open <= 100 for one in outcomes)


def test_sums_stay_where_a_store_can_hold_them() -> None:
    assert [bounded(amount) for amount in (2**70, -(2**70), 5)] == [MOST_AMOUNT, -MOST_AMOUNT, 5]
