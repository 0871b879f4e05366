"""The loop of attempts: what is sent, how often and in which order, and which error the caller gets."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from contextlib import ExitStack, closing, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from app.catalogue.rules import BreakerRules
from app.errors import AuditUnavailable, ModelNotFound, UpstreamError, UpstreamTimeout, UpstreamUnavailable
from app.upstream.attempts import Attempts
from app.upstream.call import PreparedCall
from app.upstream.errors import UpstreamRefused
from app.upstream.fair_slots import FairSlots
from app.upstream.resilience import breaker as breaker_module
from app.upstream.resilience.bearable import FULL, BearableSlots
from app.upstream.resilience.breaker import FULL_SECONDS, Breaker, Entry, Outcome
from app.upstream.resilience.kinds import BreakerOpen
from app.upstream.resilience.loop import AttemptLoop
from app.upstream.resilience.retry_pot import RetryPot
from app.upstream.resilience.road import Road

from ....support.asking import prepared
from ....support.roads import road
from ....support.simulated_crowd import Crowd
from ....support.simulated_outage import Outage, virtual_clocks
from ....support.virtual_time import simulate

BUSY, FAILED, CUT, UNREACHED = 503, 500, 200, 0
"""How an attempt fails: the status, or not reached."""


@dataclass
class Server:
    name: str
    script: list[Any] = field(default_factory=list)
    """How each attempt fails; then it answers."""
    slots: FairSlots = field(default_factory=lambda: FairSlots(8))
    breaker: Breaker = field(default_factory=lambda: Breaker(rules=BreakerRules(failures=100)))
    retries_idle_close: bool = True


@dataclass
class Ask:
    """Runs the loop, and notes what it does."""

    sent: list[str] = field(default_factory=list)
    records: list[tuple[str, str]] = field(default_factory=list)
    slept: list[float] = field(default_factory=list)
    attempts: Attempts = field(default_factory=Attempts)

    def road(self, server: Server, **more: Any) -> Road:
        return road(server, self.attempts, record=self._record, **more)

    async def _record(self, call: PreparedCall, held: Mapping[str, Any]) -> None:
        self.records.append((call.upstream.name, str(call.sha256)[:1]))

    async def _send(self, call: PreparedCall, attempts: Attempts, is_fresh: bool) -> str:
        server: Any = call.upstream
        self.sent.append(server.name + "!" * is_fresh)
        now, step = attempts.now, server.script.pop(0) if server.script else None
        if step is None:
            return f"answer of {server.name}"
        now.is_sent = step != UNREACHED
        if isinstance(step, int):
            now.status = step or None
            raise UpstreamUnavailable
        if step == "idle_close":
            now.why = step
            raise UpstreamUnavailable
        if step == "hang":
            await asyncio.sleep(60)
        assert isinstance(step, UpstreamError)
        raise step

    def __call__(self, road: Road, pot: RetryPot | None = None) -> str:
        async def main() -> str:
            return await AttemptLoop(pot, dice=lambda: 0.0).answer(road, self._send)

        return asyncio.run(main())


def full_pot() -> RetryPot:
    pot = RetryPot()
    for _ in range(40):
        pot.add("alice", 0.2)
    return pot


def at(server: Server, sha256: str = "5", model: str = "alias", **more: Any) -> Callable[[], PreparedCall]:
    made = replace(prepared(server, **more), model=model, digests={"upstream_sha256": sha256 * 64})
    return lambda: made


def test_a_healthy_server_is_asked_once() -> None:
    ask, lab = Ask(), Server("lab")
    assert ask(ask.road(lab)) == "answer of lab"
    assert (ask.sent, ask.records, ask.attempts.count) == (["lab"], [], 1)


@pytest.mark.parametrize(("fault", "times"), [(BUSY, 2), (UNREACHED, 2), (429, 3)])
def test_what_generated_nothing_is_sent_again_to_one_that_answers_twice(fault: int, times: int) -> None:
    ask, lab = Ask(), Server("lab", [fault] * 9)
    with pytest.raises(UpstreamUnavailable):
        ask(ask.road(lab), full_pot())
    assert ask.sent == ["lab"] * times


def test_a_question_counts_once_for_the_breaker_and_only_one_is_sent_again() -> None:
    lab, pot = Server("lab", [BUSY] * 9), full_pot()
    for failures in (1, 2, 3):
        ask = Ask()
        with pytest.raises(UpstreamUnavailable):
            ask(ask.road(lab), pot)
        assert (ask.sent, lab.breaker.failures) == (["lab"] * (2 if failures == 1 else 1), failures)


@pytest.mark.parametrize(("fault", "others", "failures"), [(BUSY, FULL + 1, 0), (BUSY, FULL, 1), (FAILED, FULL + 1, 1)])
def test_a_server_that_has_too_many_is_not_out_of_order(fault: int, others: int, failures: int) -> None:
    ask, lab = Ask(), Server("lab", [fault] * 9, slots=BearableSlots(1024))
    assert all(lab.slots.take_now("bob", 1) for _ in range(others))
    with pytest.raises(UpstreamUnavailable):
        ask(ask.road(lab))
    assert lab.breaker.failures == failures


def test_a_renewed_connection_is_the_one_retry_of_a_server_that_fails() -> None:
    ask, lab = Ask(), Server("lab", ["idle_close", UNREACHED])
    with pytest.raises(UpstreamUnavailable):
        ask(ask.road(lab), full_pot())
    assert ask.sent == ["lab", "lab!"]


@pytest.mark.parametrize("fault", [FAILED, CUT, 504])
def test_what_may_have_generated_is_sent_again_only_if_allowed(fault: int) -> None:
    ask, lab = Ask(), Server("lab", [fault])
    with pytest.raises(UpstreamUnavailable):
        ask(ask.road(lab))
    assert ask.sent == ["lab"]
    ask, lab = Ask(), Server("lab", [fault])
    assert ask(ask.road(lab, after_generation=True)) == "answer of lab"


def test_a_closed_idle_connection_is_replaced_once_and_beside_the_retries() -> None:
    ask, lab = Ask(), Server("lab", ["idle_close", "idle_close"])
    with pytest.raises(UpstreamUnavailable):
        ask(ask.road(lab, most=0))
    assert ask.sent == ["lab", "lab!"]
    ask, lab = Ask(), Server("lab", ["idle_close"], retries_idle_close=False)
    with pytest.raises(UpstreamUnavailable):
        ask(ask.road(lab))
    assert ask.sent == ["lab"]


def test_a_closed_idle_connection_of_a_failing_server_is_no_race() -> None:
    lab = Server("lab", [FAILED, "idle_close"])
    for failures in (1, 2):
        ask = Ask()
        with pytest.raises(UpstreamUnavailable):
            ask(ask.road(lab))
        assert (ask.sent, lab.breaker.failures) == (["lab"], failures)


def test_a_server_that_fails_other_questions_too_is_not_asked_again() -> None:
    lab = Server("lab", [BUSY, BUSY, None, BUSY])
    lab.breaker.leave(Entry.PASSED, Outcome.BAD)
    ask = Ask()
    with pytest.raises(UpstreamUnavailable):
        ask(ask.road(lab))
    assert ask.sent == ["lab"]
    lab.script.pop(0)
    for expected in (["lab"], ["lab", "lab"]):  # it answers, so the next failure is the first
        ask = Ask()
        assert ask(ask.road(lab)) == "answer of lab"
        assert ask.sent == expected


def test_a_server_that_fails_others_during_the_wait_is_not_asked_again(monkeypatch: pytest.MonkeyPatch) -> None:
    ask, lab, sleep = Ask(), Server("lab", [BUSY]), asyncio.sleep

    async def fail_others(seconds: float) -> None:
        lab.breaker.leave(Entry.PASSED, Outcome.BAD)
        await sleep(0)

    monkeypatch.setattr(asyncio, "sleep", fail_others)
    with pytest.raises(UpstreamUnavailable):
        ask(ask.road(lab))
    assert ask.sent == ["lab"]


@pytest.mark.parametrize("is_open", [False, True])
def test_a_server_that_answers_others_meanwhile_is_asked_again(monkeypatch: pytest.MonkeyPatch, is_open: bool) -> None:
    ask, lab, sleep = Ask(), Server("lab", [429]), asyncio.sleep

    async def answer_others(seconds: float) -> None:
        lab.slots.answered()
        lab.breaker.note_retry()  # another question is sent again at this moment
        if is_open:
            lab.breaker.open_for(60)
        await sleep(0)

    monkeypatch.setattr(asyncio, "sleep", answer_others)
    asked = ask.road(lab)
    if is_open:
        with pytest.raises(UpstreamUnavailable):
            ask(asked)
    else:
        assert ask(asked) == "answer of lab"
    assert ask.sent == ["lab"] * (1 if is_open else 2)


def test_what_is_refused_while_another_worker_fills_the_server_is_surplus(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 10**12
    monkeypatch.setattr(breaker_module, "monotonic_ns", lambda: now)

    def failures_of(server: Server) -> int:
        ask = Ask()
        with suppress(UpstreamUnavailable):
            ask(ask.road(server))
        return server.breaker.failures

    with ExitStack() as files:
        breakers = [files.enter_context(closing(Breaker(file=tmp_path / "breaker"))) for _ in range(2)]
        full, other = (Server("lab", [BUSY] * 9, slots=BearableSlots(1024), breaker=breaker) for breaker in breakers)
        assert all(full.slots.take_now("bob", 1) for _ in range(FULL + 1))
        assert (failures_of(full), failures_of(other)) == (0, 0)
        now += int(FULL_SECONDS * 1e9)
        assert failures_of(other) == 1, "for a while only"
        full.script = [None]
        assert (failures_of(full), failures_of(other)) == (0, 0), "an answer of one that is full says so, too"


def test_an_empty_retry_budget_ends_it() -> None:
    pot = RetryPot()
    while pot.take("bob"):
        pass
    pot._pot = 0.0
    ask, lab = Ask(), Server("lab", [BUSY])
    with pytest.raises(UpstreamUnavailable):
        ask(ask.road(lab), pot)
    assert ask.sent == ["lab"]


def test_another_server_of_the_model_is_asked_at_once() -> None:
    ask, lab, spare = Ask(), Server("lab", [BUSY]), Server("spare")
    asked = ask.road(lab, others=(at(spare, "6"),))
    assert ask(asked) == "answer of spare"
    assert (ask.sent, ask.records) == (["lab", "spare"], [("spare", "6")])
    assert asked.call.upstream.name == "spare"


def test_a_body_like_the_recorded_one_needs_no_other_record() -> None:
    ask, lab, spare = Ask(), Server("lab", [BUSY]), Server("spare")
    assert ask(ask.road(lab, others=(at(spare, "5"),))) == "answer of spare"
    assert ask.records == []


def test_fallbacks_are_asked_in_order_and_their_bodies_recorded_before() -> None:
    ask, lab = Ask(), Server("lab", [FAILED])
    first, second = Server("first", [UpstreamRefused(400)]), Server("second")
    asked = ask.road(lab, fallbacks=(at(first, "6", "m1"), at(second, "7", "m2")))
    assert ask(asked) == "answer of second"
    assert (ask.sent, ask.records) == (["lab", "first", "second"], [("first", "6"), ("second", "7")])
    assert asked.call.model == "m2"


def test_a_request_that_is_wrong_goes_to_no_fallback() -> None:
    ask, lab, other = Ask(), Server("lab", [UpstreamRefused(400)]), Server("other")
    with pytest.raises(UpstreamRefused):
        ask(ask.road(lab, fallbacks=(at(other, "6"),)))
    assert ask.sent == ["lab"]


def test_a_fallback_that_the_caller_may_not_use_is_left_out() -> None:
    def refused() -> PreparedCall:
        raise ModelNotFound("secret", is_known=True)

    ask, lab, other = Ask(), Server("lab", [FAILED]), Server("other")
    assert ask(ask.road(lab, fallbacks=(refused, at(other, "6")))) == "answer of other"


def test_a_fallback_without_a_free_place_is_left_out() -> None:
    ask, lab, full = Ask(), Server("lab", [FAILED]), Server("full", slots=FairSlots(1))
    full.slots.take_now("bob", 1)
    with pytest.raises(UpstreamUnavailable):
        ask(ask.road(lab, fallbacks=(at(full, "6"),)))
    assert ask.sent == ["lab"]


def test_the_caller_gets_the_error_that_passes_not_that_of_a_fallback() -> None:
    ask, lab, other = Ask(), Server("lab", [FAILED]), Server("other", [UpstreamRefused(404)])
    with pytest.raises(UpstreamUnavailable):
        ask(ask.road(lab, fallbacks=(at(other, "6"),)))
    assert [one.why for one in ask.attempts.tries] == ["upstream_unavailable", "upstream_refused"]


def test_a_model_with_a_timeout_of_its_own_leaves_the_rest_to_a_fallback() -> None:
    ask, lab, other = Ask(), Server("lab", ["hang"]), Server("other")
    assert ask(ask.road(lab, own_seconds=0.02, fallbacks=(at(other, "6"),))) == "answer of other"
    ask, lab = Ask(), Server("lab", ["hang"])
    with pytest.raises(UpstreamTimeout):
        ask(ask.road(lab, own_seconds=0.02))


def test_no_retry_waits_past_the_deadline() -> None:
    ask, lab = Ask(), Server("lab", [BUSY])
    asked = ask.road(lab, seconds=2)
    original = ask._send

    async def told(call: PreparedCall, attempts: Attempts, is_fresh: bool) -> str:
        ask.attempts.now.retry_after = "3"
        return await original(call, attempts, is_fresh)

    with pytest.raises(UpstreamUnavailable):
        asyncio.run(AttemptLoop().answer(asked, told))
    assert ask.sent == ["lab"]


def test_a_told_wait_is_honoured(monkeypatch: pytest.MonkeyPatch) -> None:
    ask, lab = Ask(), Server("lab", [BUSY])
    original, sleep = ask._send, asyncio.sleep

    async def told(call: PreparedCall, attempts: Attempts, is_fresh: bool) -> str:
        ask.attempts.now.retry_after = "3"
        return await original(call, attempts, is_fresh)

    async def note(seconds: float) -> None:
        ask.slept.append(seconds)
        await sleep(0)

    monkeypatch.setattr("app.upstream.resilience.loop.asyncio.sleep", note)
    assert asyncio.run(AttemptLoop(dice=lambda: 0.5).answer(ask.road(lab), told)) == "answer of lab"
    (waited,) = ask.slept
    assert 3 < waited < 3.5


def test_a_server_that_wants_a_long_wait_is_left_for_a_fallback() -> None:
    ask, lab, other = Ask(), Server("lab", [BUSY]), Server("other")
    original = ask._send

    async def told(call: PreparedCall, attempts: Attempts, is_fresh: bool) -> str:
        ask.attempts.now.retry_after = "3"
        return await original(call, attempts, is_fresh)

    assert asyncio.run(AttemptLoop().answer(ask.road(lab, fallbacks=(at(other, "6"),)), told)) == "answer of other"


def opened() -> Breaker:
    breaker = Breaker("lab", BreakerRules(failures=1, open_seconds=60))
    breaker.leave(breaker.enter(), Outcome.BAD)
    return breaker


def test_a_server_whose_breaker_is_open_is_not_asked() -> None:
    ask, lab = Ask(), Server("lab", breaker=opened())
    with pytest.raises(BreakerOpen) as caught:
        ask(ask.road(lab))
    assert (ask.sent, ask.attempts.count, ask.attempts.now.why) == ([], 0, "breaker_open")
    assert 0 < (caught.value.retry_after or 0) <= 60


def test_an_open_breaker_costs_no_retry_where_another_server_is_there() -> None:
    ask, lab, spare = Ask(), Server("lab", breaker=opened()), Server("spare")
    assert ask(ask.road(lab, most=0, others=(at(spare, "6"),))) == "answer of spare"
    assert ask.attempts.count == 1


def test_a_breaker_that_opens_meanwhile_hides_no_error() -> None:
    ask, lab = Ask(), Server("lab", [429], breaker=Breaker("lab", BreakerRules(failures=1)))
    original = lab.breaker.take_retry

    def take_and_open() -> bool:
        is_granted = original()
        lab.breaker.open_for(60)
        return is_granted

    lab.breaker.take_retry = take_and_open  # type: ignore[method-assign]
    with pytest.raises(UpstreamUnavailable) as caught:
        ask(ask.road(lab))
    assert type(caught.value) is UpstreamUnavailable
    assert [one.why for one in ask.attempts.tries] == ["upstream_unavailable", "breaker_open"]


@dataclass
class Budget:
    """Bears *most* further attempts."""

    most: int

    async def may_try(self, call: PreparedCall) -> Mapping[str, Any] | None:
        self.most -= 1
        return {"reserved": []} if self.most >= 0 else None


def test_a_budget_is_asked_before_each_further_attempt() -> None:
    ask, lab, budget = Ask(), Server("lab", [FAILED, 429]), Budget(5)
    asked = ask.road(lab, after_generation=True)
    asked.spending = budget
    assert ask(asked, full_pot()) == "answer of lab"
    assert budget.most == 3
    assert len(ask.records) == 2, "what is reserved is recorded, also for the same body"


def test_the_same_server_is_asked_again_from_a_place_of_its_own() -> None:
    ask, lab, spare, budget = Ask(), Server("lab", [BUSY, FAILED]), Server("spare"), Budget(0)
    asked = ask.road(lab, others=(at(spare, "6"),))
    asked.seat.move(lab.slots)
    asked.spending, bears = budget, iter([0, 1])

    async def may_try(call: PreparedCall) -> Mapping[str, Any] | None:
        return {} if next(bears) else None

    budget.may_try = may_try  # type: ignore[method-assign]  # not the other server, which is dearer
    with pytest.raises(UpstreamUnavailable):
        ask(asked)
    assert ask.sent == ["lab", "lab"]
    assert (lab.slots.in_flight, spare.slots.in_flight) == (1, 0)


def test_what_no_budget_bears_is_not_sent() -> None:
    ask, lab, other, budget = Ask(), Server("lab", [FAILED]), Server("other"), Budget(0)
    asked = ask.road(lab, fallbacks=(at(other, "6"),))
    asked.spending = budget
    with pytest.raises(UpstreamUnavailable):
        ask(asked)
    assert (ask.sent, ask.records) == (["lab"], [])


def test_nothing_is_sent_that_cannot_be_recorded() -> None:
    ask, lab, other = Ask(), Server("lab", [FAILED]), Server("other")
    asked = ask.road(lab, fallbacks=(at(other, "6"),))

    async def broken(call: PreparedCall, held: Mapping[str, Any]) -> None:
        raise AuditUnavailable

    asked.record = broken
    with pytest.raises(AuditUnavailable):
        ask(asked)
    assert ask.sent == ["lab"]


@pytest.mark.parametrize(("is_lowered", "is_bad"), [(False, True), (True, False)])
def test_a_timeout_counts_against_the_server_unless_the_caller_made_it(is_lowered: bool, is_bad: bool) -> None:
    ask, lab = Ask(), Server("lab", ["hang"])
    asked = ask.road(lab, seconds=0.05)
    asked.is_short = is_lowered

    async def main() -> None:
        async with asyncio.timeout(0.06):
            await AttemptLoop().answer(asked, ask._send)

    with pytest.raises(TimeoutError):
        asyncio.run(main())
    assert lab.breaker.failures == is_bad


# --- an outage, simulated ------------------------------------------------------------------------------

SEEDS = range(40)


@pytest.fixture
def simulated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder, with virtual clocks."""
    virtual_clocks(monkeypatch)
    return tmp_path


@pytest.mark.parametrize("failures", [5, 8])
@pytest.mark.parametrize(("rate", "burst"), [(0.5, 1), (50, 1), (50, 3), (1_000, 40)])
def test_at_most_six_calls_for_five_questions_until_the_breaker_opens(
    simulated: Path, rate: float, burst: int, failures: int
) -> None:
    are_retried = 0
    for seed in SEEDS:
        outage = Outage(simulated, seed, failures)
        simulate(outage.run(rate, burst))
        assert len(outage.calls) >= failures
        assert outage.calls.total() <= 1.2 * len(outage.calls), outage.calls
        are_retried += outage.calls.total() > len(outage.calls)
    assert are_retried or burst > 1, "a question alone is sent once more"


def test_each_answer_of_before_allows_one_retry_at_most(simulated: Path) -> None:
    for seed in SEEDS:
        outage = Outage(simulated, seed)
        simulate(outage.run(50, 1, late=6))
        assert outage.calls.total() <= len(outage.calls) + 1 + outage.late


CROWDS = pytest.mark.parametrize(("bears", "work_seconds"), [(20, 0.3), (40, 1.0), (100, 5.0)])


@CROWDS
def test_the_breaker_of_a_server_that_is_only_full_stays_closed(simulated: Path, bears: int, work_seconds: float) -> None:
    crowd = Crowd(simulated, bears, work_seconds)
    simulate(crowd.run(200, {}, 30.0))
    assert crowd.counts["refused"]
    assert crowd.opened_at is None
    assert crowd.counts["flood"] + crowd.counts["quiet"] > 0.7 * 30 * bears / work_seconds, "it is kept busy"
    assert crowd.counts["quiet"] > 5 * crowd.counts["quiet upstream_unavailable"]


@CROWDS
def test_a_full_server_that_goes_down_is_left_alone_until_it_is_back(simulated: Path, bears: int, work_seconds: float) -> None:
    crowd = Crowd(simulated, bears, work_seconds)
    until_known = FULL_SECONDS + 1.5 * work_seconds + 1
    """Its last answer, or the first one; then the time for which the breaker waits."""
    simulate(crowd.run(200, {10.0: (0, 0.0), 30.0: (bears, 0.0)}, 30 + until_known))
    assert crowd.opened_at is not None
    assert 10 < crowd.opened_at < 10 + until_known
    assert not crowd.is_open


@CROWDS
def test_a_crowd_does_not_hide_that_half_of_all_calls_fail(simulated: Path, bears: int, work_seconds: float) -> None:
    crowd = Crowd(simulated, bears, work_seconds)
    simulate(crowd.run(200, {10.0: (1_000, 0.5)}, 25.0))
    assert crowd.opened_at is not None
    assert crowd.opened_at > 10
