"""Hedging: when a second server is asked, which answer counts, and what the other one leaves behind; in virtual time."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from app.catalogue.rules import BreakerRules
from app.errors import AuditUnavailable, Overloaded, UpstreamTimeout, UpstreamUnavailable
from app.upstream.attempts import Attempts
from app.upstream.call import PreparedCall
from app.upstream.errors import UpstreamRefused
from app.upstream.fair_slots import FairSlots
from app.upstream.resilience.breaker import Breaker
from app.upstream.resilience.loop import AttemptLoop
from app.upstream.resilience.retry_pot import RetryPot
from app.upstream.resilience.road import Road
from app.upstream.resilience.spending import Unlimited

from ....support.roads import road
from ....support.simulated_outage import virtual_clocks
from ....support.virtual_time import simulate

AFTER = 2.0
FAILED = UpstreamUnavailable()


@dataclass
class Server:
    name: str
    seconds: float = 0.5
    """How long each of its answers takes."""
    error: Exception | None = None
    """What it raises in the end, in place of an answer."""
    slots: FairSlots = field(default_factory=lambda: FairSlots(8))
    breaker: Breaker = field(default_factory=lambda: Breaker(rules=BreakerRules(failures=100)))
    retries_idle_close: bool = True


@dataclass
class World:
    """A question to `lab`, which `spare` and `third` serve, too; and what happens to it."""

    lab: Server = field(default_factory=lambda: Server("lab", 10.0))
    spare: Server = field(default_factory=lambda: Server("spare"))
    third: Server = field(default_factory=lambda: Server("third"))
    events: list[str] = field(default_factory=list)
    attempts: Attempts = field(default_factory=Attempts)
    loop: AttemptLoop = field(default_factory=lambda: AttemptLoop(dice=lambda: 0.0))
    record_seconds: float = 0.0
    record_error: Exception | None = None
    dropped: list[str] = field(default_factory=list)
    road: Road = field(init=False)

    def __post_init__(self) -> None:
        self.set_out()

    def set_out(self, **more: Any) -> None:
        """*more*: members of the call."""
        more.setdefault("others", (lambda: self.call_of(self.spare, "6"), lambda: self.call_of(self.third, "7")))
        self.road = road(self.lab, self.attempts, record=self._record, hedge_after_seconds=AFTER, **more)
        self.lab.slots = FairSlots(8)
        self.road.seat.move(self.lab.slots)

    def call_of(self, server: Server, digit: str) -> PreparedCall:
        at: Any = server
        return replace(self.road.call, upstream=at, digests={"upstream_sha256": digit * 64}, others=(), fallbacks=())

    async def _record(self, call: PreparedCall, held: Mapping[str, Any]) -> None:
        await asyncio.sleep(self.record_seconds)
        self._note(f"record {call.upstream.name}")
        if self.record_error is not None:
            raise self.record_error

    async def send(self, call: PreparedCall, attempts: Attempts, is_fresh: bool) -> str:
        server: Any = call.upstream
        self._note(f"send {server.name}")
        now = attempts.now
        now.is_sent = True
        try:
            await asyncio.sleep(server.seconds)
        except asyncio.CancelledError:
            self._note(f"cancel {server.name}")
            raise
        if server.error is not None:
            now.status = 500
            raise server.error
        now.status = 200
        return f"answer of {server.name}"

    def _note(self, what: str) -> None:
        self.events.append(f"{what} {asyncio.get_running_loop().time():g}")

    async def asking(self, seconds: float = 60.0) -> str:
        self.road.until = asyncio.get_running_loop().time() + 1_000 + seconds
        async with asyncio.timeout(seconds):
            return await self.loop.answer(self.road, self.send, self.dropped.append)

    def ask(self, seconds: float = 60.0) -> str:
        return simulate(self.asking(seconds))

    def whys(self) -> list[tuple[str, str | None]]:
        return [(one.server, one.why) for one in self.attempts.tries]

    def seats(self) -> tuple[int, int, int]:
        return self.lab.slots.in_flight, self.spare.slots.in_flight, self.third.slots.in_flight


@pytest.fixture(autouse=True)
def _virtual(monkeypatch: pytest.MonkeyPatch) -> None:
    virtual_clocks(monkeypatch)


@pytest.fixture
def world() -> World:
    return World()


# --- who is asked, and which answer counts ------------------------------------------------------------


def test_a_server_that_answers_in_time_is_asked_alone(world: World) -> None:
    world.lab.seconds = 1.9
    assert world.ask() == "answer of lab"
    assert (world.events, world.attempts.count) == (["send lab 0"], 1)


def test_a_slow_server_is_left_for_one_that_answers_first(world: World) -> None:
    assert world.ask() == "answer of spare"
    assert world.events == ["send lab 0", "record spare 2", "send spare 2", "cancel lab 2.5"], "recorded before it is sent"
    assert world.whys() == [("lab", "hedged_away"), ("spare", None)]
    assert (world.road.call.upstream.name, world.attempts.now.server) == ("spare", "spare")
    assert (world.attempts.count, world.attempts.retried) == (2, "slow")
    assert world.seats() == (0, 1, 0), "the place at the slow server is given back"
    world.road.seat.leave()
    assert world.seats() == (0, 0, 0)


def test_a_server_that_answers_before_the_second_one_counts(world: World) -> None:
    world.lab.seconds, world.spare.seconds = 2.2, 5.0
    assert world.ask() == "answer of lab"
    assert world.events[-1] == "cancel spare 2.2"
    assert world.whys() == [("lab", None), ("spare", "hedged_away")]
    assert (world.attempts.now.server, world.attempts.retried, world.seats()) == ("lab", "slow", (1, 0, 0))


def test_of_two_answers_at_one_moment_one_is_dropped(world: World) -> None:
    world.lab.seconds, world.spare.seconds = 3.0, 1.0
    assert world.ask() == "answer of lab"
    assert world.dropped == ["answer of spare"]
    assert world.whys() == [("lab", None), ("spare", "hedged_away")]


@pytest.mark.parametrize(("bad", "good"), [("lab", "spare"), ("spare", "lab")])
def test_an_error_of_one_waits_for_the_other(world: World, bad: str, good: str) -> None:
    servers = {"lab": world.lab, "spare": world.spare}
    servers[bad].error, servers["lab"].seconds = FAILED, 2.5 if bad == "lab" else 4.0
    world.spare.seconds = 1.5 if bad == "lab" else 0.5
    assert world.ask() == f"answer of {good}"
    assert dict(world.whys()) == {bad: "upstream_unavailable", good: None}
    assert (servers[bad].breaker.failures, servers[good].breaker.failures) == (1, 0)
    assert world.road.call.upstream.name == world.attempts.now.server == good
    assert (servers[bad].slots.in_flight, servers[good].slots.in_flight) == (0, 1)


def test_where_both_fail_the_caller_gets_the_error_that_passes(world: World) -> None:
    world.lab.error, world.lab.seconds, world.spare.error = FAILED, 2.1, UpstreamRefused(400)
    with pytest.raises(UpstreamUnavailable):
        world.ask()
    assert world.whys() == [("lab", "upstream_unavailable"), ("spare", "upstream_refused")]


def full_pot() -> RetryPot:
    pot = RetryPot()
    for _ in range(40):
        pot.add("alice", 0.2)
    return pot


def test_where_both_fail_a_third_server_is_asked_and_none_twice(world: World) -> None:
    world.loop = AttemptLoop(full_pot())
    world.set_out(after_generation=True)
    world.lab.error, world.lab.seconds, world.spare.error, world.third.seconds = FAILED, 2.1, FAILED, 3.0
    assert world.ask() == "answer of third"
    assert [one for one in world.events if one.startswith("send")] == ["send lab 0", "send spare 2", "send third 2.5"]


def test_a_question_is_hedged_once_and_may_fall_back_after_that(world: World) -> None:
    world.loop = AttemptLoop(full_pot())
    other = Server("other", 5.0)
    fallback = replace(world.call_of(other, "8"), model="m2", others=(lambda: world.call_of(world.third, "7"),))
    world.set_out(fallbacks=(lambda: fallback,))
    world.lab.error, world.lab.seconds, world.spare.error = FAILED, 2.1, FAILED
    assert world.ask() == "answer of other"
    assert [one for one in world.events if one.startswith("send")] == ["send lab 0", "send spare 2", "send other 2.5"]


def test_a_hedge_does_not_go_to_the_server_that_is_slow(world: World) -> None:
    others = (lambda: world.call_of(world.lab, "6"), lambda: world.call_of(world.third, "7"))
    world.set_out(others=others)
    assert world.ask() == "answer of third"


# --- what a hedge needs -------------------------------------------------------------------------------


def test_a_server_that_rests_or_is_full_is_passed_over(world: World) -> None:
    async def main() -> str:
        world.spare.breaker.open_for(1_000)
        return await world.asking()

    assert simulate(main()) == "answer of third"
    full = World()
    full.spare.slots = full.third.slots = FairSlots(1)
    full.spare.slots.take_now("bob", 1)
    assert full.ask() == "answer of lab"
    assert full.events == ["send lab 0"]


def test_a_hedge_takes_from_the_retry_budget(world: World) -> None:
    pot = RetryPot()
    while pot.take("bob"):
        pass
    world.loop = AttemptLoop(pot)
    assert world.ask() == "answer of lab"
    assert (world.events, world.seats()) == (["send lab 0"], (1, 0, 0))


def test_slow_servers_get_six_calls_for_five_questions_at_most() -> None:
    """Both are as slow: the second one would never help."""
    loop, sent = AttemptLoop(), 0
    for _ in range(500):
        world = World(loop=loop)
        world.spare.seconds = 30.0
        world.ask()
        sent += world.attempts.count
    assert 500 * 1.15 < sent <= 500 * 1.2 + 2


class Broke(Unlimited):
    async def may_try(self, call: PreparedCall) -> Mapping[str, Any] | None:
        return None


def test_what_no_budget_bears_is_not_sent(world: World) -> None:
    world.road.spending = Broke()
    assert world.ask() == "answer of lab"
    assert (world.events, world.seats()) == (["send lab 0"], (1, 0, 0))


def test_a_service_that_stops_asks_no_second_server(world: World) -> None:
    world.loop.is_stopping = True
    assert world.ask() == "answer of lab"
    assert world.events == ["send lab 0"]


def test_nothing_is_sent_that_cannot_be_recorded(world: World) -> None:
    world.record_error = AuditUnavailable()
    with pytest.raises(AuditUnavailable):
        world.ask()
    assert world.events == ["send lab 0", "record spare 2", "cancel lab 2"]
    assert world.seats() == (1, 0, 0)


@pytest.mark.parametrize("error", [None, Overloaded()])
def test_one_that_ends_while_the_second_is_recorded_is_not_hedged(world: World, error: Exception | None) -> None:
    world.record_seconds, world.lab.seconds, world.lab.error = 1.0, 2.5, error
    if error is None:
        assert world.ask() == "answer of lab"
    else:
        with pytest.raises(Overloaded):
            world.ask()
    assert world.events == ["send lab 0", "record spare 3"]
    assert (world.seats(), world.attempts.count) == ((1, 0, 0), 1)


def test_one_that_fails_while_the_second_is_recorded_is_helped(world: World) -> None:
    world.record_seconds, world.lab.seconds, world.lab.error = 1.0, 2.5, FAILED
    assert world.ask() == "answer of spare"
    assert world.events == ["send lab 0", "record spare 3", "send spare 3"]


# --- deadlines, and callers who leave -----------------------------------------------------------------


def test_a_deadline_ends_both_and_counts_against_the_first_alone(world: World) -> None:
    world.spare.seconds = 30.0
    with pytest.raises(TimeoutError):
        world.ask(5.0)
    assert world.events[-2:] == ["cancel lab 5", "cancel spare 5"]
    world.attempts.fail("upstream_timeout")
    assert world.whys() == [("lab", "upstream_timeout"), ("spare", "upstream_timeout")]
    assert (world.lab.breaker.failures, world.spare.breaker.failures, world.seats()) == (1, 0, (1, 0, 0))


def test_a_deadline_while_the_second_is_recorded_ends_the_first(world: World) -> None:
    world.record_seconds = 10.0
    with pytest.raises(TimeoutError):
        world.ask(5.0)
    assert (world.events, world.seats()) == (["send lab 0", "cancel lab 5"], (1, 0, 0))


def test_the_time_of_a_model_ends_both_and_its_fallback_answers(world: World) -> None:
    other = Server("other")
    fallback = replace(world.call_of(other, "8"), model="m2", own_seconds=None, hedge_after_seconds=None)
    world.set_out(fallbacks=(lambda: fallback,), own_seconds=4.0)
    world.spare.seconds = 30.0
    assert world.ask() == "answer of other"
    assert world.whys() == [("lab", "upstream_timeout"), ("spare", "upstream_timeout"), ("other", None)]
    assert (world.lab.breaker.failures, world.spare.breaker.failures) == (1, 0)
    assert world.seats() == (0, 0, 0)


def test_the_time_of_a_model_without_a_second_server_is_its_own(world: World) -> None:
    world.set_out(others=(), own_seconds=4.0)
    with pytest.raises(UpstreamTimeout):
        world.ask()
    assert world.events == ["send lab 0", "cancel lab 4"]


def test_a_second_cancellation_waits_for_the_end_of_both(world: World) -> None:
    async def main() -> None:
        world.spare.seconds = 30.0
        asking = asyncio.create_task(world.asking())
        await asyncio.sleep(3.0)
        asking.cancel()
        await asyncio.sleep(0)
        asking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asking
        assert {task.get_name() for task in asyncio.all_tasks()} == {asyncio.current_task().get_name()}  # type: ignore[union-attr]

    simulate(main())
    assert world.events[-2:] == ["cancel lab 3", "cancel spare 3"]
    assert world.seats() == (1, 0, 0)


# --- off ----------------------------------------------------------------------------------------------


def test_without_the_key_a_question_takes_no_task_and_no_timer(world: World) -> None:
    world.road.call = replace(world.road.call, hedge_after_seconds=None)

    async def main() -> None:
        alone, now = asyncio.current_task(), asyncio.get_running_loop()

        async def send(call: PreparedCall, attempts: Attempts, is_fresh: bool) -> str:
            assert asyncio.current_task() is alone
            assert not now._scheduled  # type: ignore[attr-defined]  # the timers of asyncio's own loop
            return "answer"

        assert await world.loop.answer(world.road, send) == "answer"

    simulate(main())


def test_a_trial_that_is_hedged_away_lets_another_one_through(world: World) -> None:
    world.lab.breaker = Breaker("lab", BreakerRules(failures=1, open_seconds=1.0))

    async def main() -> None:
        world.lab.breaker.open_for(1.0)
        await asyncio.sleep(1.5)
        assert await world.asking() == "answer of spare"
        assert not world.lab.breaker.is_resting, "the next question may try it"

    simulate(main())


def test_an_error_that_is_none_of_the_servers_ends_the_race(world: World) -> None:
    world.spare.error = Overloaded()
    with pytest.raises(Overloaded):
        world.ask()
    assert world.events[-1] == "cancel lab 2.5"
    assert world.seats() == (1, 0, 0)
