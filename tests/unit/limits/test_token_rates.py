"""Rates in tokens: an estimate counts when a question begins, what it used when it is over."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from app.catalogue.caps import TokenRate
from app.errors import LimitsUnavailable
from app.limits.quota import QuotaExceeded
from app.limits.token_rates import TokenRates

from ...support.windows import Clock, remove_windows, window_folder

ALICE, BOBBY = TokenRate("tokens/alice", 1000), TokenRate("tokens/bobby", 1000)
MODEL = TokenRate("model-tokens/small", 1500)
OWN = (ALICE,)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def rates(tmp_path: Path, clock: Clock) -> Iterator[TokenRates]:
    with closing(TokenRates(tmp_path / "log", clock)) as rates:
        yield rates
    remove_windows(tmp_path / "log")


def test_nothing_is_opened_before_the_first_charge(rates: TokenRates, tmp_path: Path) -> None:
    folder = window_folder(tmp_path / "log")
    assert list(folder.glob("*tokens*")) == []
    rates.charge(OWN, 1)
    assert len(list(folder.glob("*tokens*"))) == 2


def test_questions_are_refused_while_their_estimates_do_not_fit(rates: TokenRates, clock: Clock) -> None:
    first = rates.charge(OWN, 600)
    assert (first.quota.limit, first.quota.remaining, first.quota.name) == (1000, 400, "tpm")
    with pytest.raises(QuotaExceeded) as refused:
        rates.charge(OWN, 401)
    assert (refused.value.quota.remaining, refused.value.retry_after) == (400, 61)
    rates.settle(first, 10, OWN)
    assert rates.charge(OWN, 990).quota.remaining == 0
    clock.now += 61
    assert rates.charge(OWN, 1000).quota.remaining == 0


def test_an_answer_that_used_more_counts_with_all_of_it(rates: TokenRates) -> None:
    rates.settle(rates.charge(OWN, 10), 5000, OWN)
    with pytest.raises(QuotaExceeded):
        rates.charge(OWN, 1)


def test_a_question_larger_than_the_rate_waits_for_an_empty_window(rates: TokenRates, clock: Clock) -> None:
    rates.settle(rates.charge(OWN, 1), 1, OWN)
    with pytest.raises(QuotaExceeded):
        rates.charge(OWN, 9999)
    clock.now += 61
    assert rates.charge(OWN, 9999).quota.remaining == 0


def test_a_model_has_one_rate_for_all_callers(rates: TokenRates) -> None:
    alice, bobby = (ALICE, MODEL), (BOBBY, MODEL)
    rates.charge(alice, 900)
    assert rates.charge(bobby, 500).quota.remaining == 100
    with pytest.raises(QuotaExceeded) as refused:
        rates.charge(bobby, 101)
    assert refused.value.quota.limit == 1500
    assert rates.charge(OWN, 100).quota.remaining == 0
    assert rates.charge((BOBBY,), 500).quota.remaining == 0, "nothing of a refused one is held"


def test_what_another_model_answered_counts_for_that_model(rates: TokenRates) -> None:
    other = TokenRate("model-tokens/other", 2000)
    rates.settle(rates.charge((ALICE, MODEL), 600), 100, (ALICE, other))
    assert [rates.charge((rate,), 1).quota.remaining for rate in (ALICE, MODEL, other)] == [899, 1499, 1899]
    rates.settle(None, 50, (other,))
    assert rates.charge((other,), 1).quota.remaining == 1848


def test_a_storage_that_fails_is_a_refusal_of_its_own(rates: TokenRates, tmp_path: Path) -> None:
    charge = rates.charge(OWN, 1)
    folder = window_folder(tmp_path / "log")
    rates.close()
    folder.mkdir(exist_ok=True)
    folder.chmod(0o777)
    with pytest.raises(LimitsUnavailable):
        rates.charge(OWN, 1)
    rates.settle(charge, 5, OWN)  # nobody can be told
    folder.chmod(0o700)
