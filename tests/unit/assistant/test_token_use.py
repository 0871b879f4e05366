"""The tokens of a question: an estimate while it is asked, what it used afterwards, nothing if no server can have answered."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, suppress
from dataclasses import replace
from pathlib import Path

import pytest

from app.assistant.token_use import TokenUse, counted_tokens, estimated_tokens
from app.catalogue.caps import TokenRate
from app.limits.quota import QuotaExceeded
from app.limits.token_rates import TokenRates
from app.upstream.attempts import Attempts
from app.upstream.call import Clamped
from app.upstream.completion import Usage
from app.upstream.protocol.count_tokens import COUNT_TOKENS

from ...support.asking import prepared
from ...support.waiting import on_a_loop
from ...support.windows import remove_windows

OWN = (TokenRate("tokens/alice", 1000),)
CALL = replace(prepared(token_rates=OWN), asked={"params": {"max_tokens": 600}})


@pytest.fixture
def rates(tmp_path: Path) -> Iterator[TokenRates]:
    with closing(TokenRates(tmp_path / "log")) as rates:
        yield rates
    remove_windows(tmp_path / "log")


def left(rates: TokenRates) -> int:
    """After one more token."""
    return rates.charge(OWN, 1).quota.remaining


def attempts(*, sent: bool) -> Attempts:
    made = Attempts()
    made.begin("lab", "5" * 64).is_sent = sent
    return made


@on_a_loop
async def test_a_question_without_a_rate_is_not_counted(rates: TokenRates) -> None:
    use = TokenUse()
    async with counted_tokens(rates, prepared(), use), counted_tokens(None, CALL, use):
        assert use.quota is None
    assert left(rates) == 999


@on_a_loop
async def test_while_it_is_asked_its_estimate_counts_then_what_it_used(rates: TokenRates) -> None:
    use = TokenUse()
    async with counted_tokens(rates, CALL, use):
        assert use.quota is not None
        assert use.quota.remaining == 400
        with pytest.raises(QuotaExceeded):
            async with counted_tokens(rates, CALL, TokenUse()):
                raise AssertionError
        use.attempts = attempts(sent=True)
        use.answered(Usage(10, 20), CALL)
    assert left(rates) == 969


@pytest.mark.parametrize(("made", "remaining"), [(None, 999), (attempts(sent=False), 999), (attempts(sent=True), 399)])
@on_a_loop
async def test_a_failed_question_counts_unless_no_server_can_have_answered(
    rates: TokenRates, made: Attempts | None, remaining: int
) -> None:
    use = TokenUse()
    with suppress(OSError):
        async with counted_tokens(rates, CALL, use):
            use.attempts = made
            raise OSError
    assert left(rates) == remaining


@on_a_loop
async def test_a_fallback_with_a_rate_counts_though_the_question_had_none(rates: TokenRates) -> None:
    use, fallback = TokenUse(), prepared(token_rates=OWN)
    async with counted_tokens(rates, prepared(fallbacks=(lambda: fallback,)), use):
        use.attempts = attempts(sent=True)
        use.answered(Usage(10, 20), fallback)
    assert left(rates) == 969


@on_a_loop
async def test_an_answer_without_a_count_keeps_the_estimate(rates: TokenRates) -> None:
    use = TokenUse()
    async with counted_tokens(rates, CALL, use):
        use.attempts = attempts(sent=True)
        use.answered(None, CALL)
    assert left(rates) == 399


def test_the_estimate_is_of_the_question_and_of_the_longest_answer() -> None:
    call = replace(prepared(), body=b"x" * 400, asked={"params": {}})
    assert estimated_tokens(call) == 100
    asked = {"params": {"max_completion_tokens": 50, "n": 3}}
    assert estimated_tokens(replace(call, asked=asked)) == 250
    assert estimated_tokens(replace(call, asked=asked, clamped=Clamped("max_completion_tokens", 50, 10))) == 130
    assert estimated_tokens(replace(call, endpoint=COUNT_TOKENS)) == 0
    odd = replace(call, asked={"params": {"n": "x", "max_completion_tokens": "y"}})
    assert estimated_tokens(odd) == 100
    query = replace(call, body=b'{"max_tokens": 30}', asked={"query": "hi"})
    assert estimated_tokens(query) == 34
