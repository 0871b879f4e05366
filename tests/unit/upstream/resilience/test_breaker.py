"""The circuit breaker: when it opens, who is let through, and what other processes see of it."""

from __future__ import annotations

import multiprocessing
import os
import signal
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from app.catalogue.rules import BreakerRules
from app.upstream.resilience import breaker as module
from app.upstream.resilience.breaker import Breaker, Entry, Outcome

RULES = BreakerRules(failures=3, share=0.5, least=10, window_seconds=30, open_seconds=5)


class Clock:
    now = 1_000_000_000_000

    def __call__(self) -> int:
        return self.now

    def pass_by(self, seconds: float) -> None:
        self.now += int(seconds * 1e9)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(module, "monotonic_ns", clock)
    return clock


@pytest.fixture
def one(clock: Clock) -> Iterator[Breaker]:
    with closing(Breaker("lab", RULES)) as breaker:
        yield breaker


def call(breaker: Breaker, *outcomes: Outcome) -> None:
    for outcome in outcomes:
        entry = breaker.enter()
        assert entry is Entry.PASSED
        breaker.leave(entry, outcome)


GOOD, BAD, NONE = Outcome.GOOD, Outcome.BAD, Outcome.NONE


def test_it_opens_after_so_many_failures_in_a_row(one: Breaker) -> None:
    call(one, BAD, BAD, GOOD, BAD, NONE, BAD)
    assert not one.is_open
    assert one.failures == 2
    call(one, BAD)
    assert one.is_open
    assert one.enter() is Entry.REFUSED
    assert one.seconds_left == 5


def test_a_question_that_fails_again_counts_once(one: Breaker) -> None:
    call(one, BAD)
    one.leave(Entry.PASSED, BAD, is_counted=True)
    assert one.failures == 1


def test_one_question_may_be_sent_again_until_the_server_answers(one: Breaker) -> None:
    call(one, BAD)
    assert [one.take_retry(), one.take_retry()] == [True, False]
    call(one, GOOD)
    one.note_retry()
    assert not one.take_retry()
    call(one, GOOD, BAD, BAD)
    assert not one.may_retry, "others fail, too"
    one.reset()
    assert one.take_retry()


def test_it_opens_where_too_large_a_part_fails(one: Breaker, clock: Clock) -> None:
    call(one, *[BAD, GOOD] * 4)
    assert not one.is_open, "too few to tell"
    call(one, BAD, GOOD, BAD)
    assert one.is_open


def test_a_full_server_is_known_for_a_moment_and_not_while_it_is_open(one: Breaker, clock: Clock) -> None:
    assert not one.is_full
    one.note_full()
    assert one.is_full
    clock.pass_by(module.FULL_SECONDS)
    assert not one.is_full
    one.note_full()
    call(one, BAD, BAD, BAD)
    assert (one.is_open, one.is_full) == (True, False), "its trial counts"
    one.reset()
    assert not one.is_full


def test_what_failed_long_ago_does_not_count(one: Breaker, clock: Clock) -> None:
    call(one, *[BAD, GOOD] * 4)
    clock.pass_by(31)
    call(one, *[BAD, GOOD] * 4)
    assert not one.is_open


def test_after_a_while_one_is_let_through_and_its_answer_closes_it(one: Breaker, clock: Clock) -> None:
    call(one, BAD, BAD, BAD)
    clock.pass_by(5)
    assert one.enter() is Entry.TRIAL
    assert one.enter() is Entry.REFUSED, "one at a time"
    one.leave(Entry.TRIAL, GOOD)
    assert not one.is_open
    call(one, BAD, BAD, GOOD)
    assert not one.is_open, "it counts anew"


def test_it_rests_but_for_the_moment_in_which_one_may_be_let_through(one: Breaker, clock: Clock) -> None:
    assert not one.is_resting
    call(one, BAD, BAD, BAD)
    assert one.is_resting
    clock.pass_by(5)
    assert one.is_open
    assert not one.is_resting, "else nobody would ask a server while another answers"
    trial = one.enter()
    assert one.is_resting
    clock.pass_by(5)
    assert not one.is_resting, "the trial takes long"
    one.leave(trial, GOOD)
    assert not one.is_resting


def test_a_trial_that_fails_leaves_it_open_for_as_long_again(one: Breaker, clock: Clock) -> None:
    call(one, BAD, BAD, BAD)
    clock.pass_by(5)
    one.leave(one.enter(), BAD)
    assert (one.is_open, one.seconds_left, one.enter()) == (True, 5, Entry.REFUSED)


def test_a_trial_that_shows_nothing_lets_the_next_one_through(one: Breaker, clock: Clock) -> None:
    call(one, BAD, BAD, BAD)
    clock.pass_by(5)
    one.leave(one.enter(), NONE)
    assert one.enter() is Entry.TRIAL
    one.leave(Entry.TRIAL, GOOD)


def test_beside_a_trial_that_takes_long_a_later_one_is_let_through(one: Breaker, clock: Clock) -> None:
    call(one, BAD, BAD, BAD)
    clock.pass_by(5)
    assert one.enter() is Entry.TRIAL
    clock.pass_by(5)
    assert one.enter() is Entry.LATER_TRIAL
    assert one.enter() is Entry.REFUSED, "one at a time"
    one.leave(Entry.LATER_TRIAL, GOOD)
    assert not one.is_open
    one.leave(Entry.TRIAL, NONE)
    assert one.enter() is Entry.PASSED


def test_an_answer_to_an_older_question_does_not_close_it(one: Breaker) -> None:
    older = one.enter()
    call(one, BAD, BAD, BAD)
    one.leave(older, GOOD)
    assert one.is_open


def test_all_processes_have_one_state_and_one_trial(tmp_path: Path, clock: Clock) -> None:
    """Two objects on one file, as two workers have them."""
    with closing(Breaker("lab", RULES, tmp_path / "b")) as here, closing(Breaker("lab", RULES, tmp_path / "b")) as there:
        call(here, BAD)
        assert [here.take_retry(), there.take_retry()] == [True, False]
        call(here, BAD)
        call(there, BAD)
        assert (here.is_open, here.enter()) == (True, Entry.REFUSED)
        clock.pass_by(5)
        assert here.enter() is Entry.TRIAL
        assert there.enter() is Entry.REFUSED
        here.leave(Entry.TRIAL, NONE)
        assert there.enter() is Entry.TRIAL
        there.reset()  # as an operator does
        there.leave(Entry.TRIAL, NONE)
        assert here.enter() is Entry.PASSED
        assert Breaker.server_of(tmp_path / "b") == "lab"


def _try_and_wait(file: Path, entered: object) -> None:
    Breaker("lab", RULES, file).enter()
    entered.set()  # type: ignore[attr-defined]
    signal.pause()


@pytest.mark.slow
def test_a_worker_that_is_killed_in_its_trial_leaves_it_to_the_next(tmp_path: Path) -> None:
    rules = BreakerRules(failures=1, open_seconds=0.001)
    with closing(Breaker("lab", rules, tmp_path / "b")) as here:
        here.leave(here.enter(), BAD)
        here.rules = RULES
        forked = multiprocessing.get_context("fork")
        entered = forked.Event()
        worker = forked.Process(target=_try_and_wait, args=(tmp_path / "b", entered))
        worker.start()
        assert entered.wait(20)
        assert here.enter() is Entry.REFUSED
        os.kill(worker.pid or 0, signal.SIGKILL)
        worker.join()
        worker.close()
        entry = here.enter()
        assert entry is Entry.TRIAL
        here.leave(entry, GOOD)


def test_memory_that_cannot_be_had_is_an_error_and_no_crash_later(tmp_path: Path) -> None:
    with pytest.raises(OSError):
        Breaker("lab", RULES, tmp_path / "missing" / "b")
