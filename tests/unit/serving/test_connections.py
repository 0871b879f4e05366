"""How many connections there may be, and which is closed to make room."""

from __future__ import annotations

import asyncio
import itertools
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest

from app.errors import AppError
from app.limits.bounds import Bounds
from app.serving.connections import SWEPT_AT_ONCE, Connections
from app.serving.deadlines import Waiting

BOUNDS = Bounds(connections=3, connections_per_address=2, guests=1, unread_bytes=100)


@dataclass(eq=False)
class One:
    network: str
    is_open: bool = True
    looks: list[float] = field(default_factory=list)
    unread_bytes: int = 0
    says_something: bool = False
    told: str | None = None
    fault: Exception | None = None
    waiting: Waiting = field(default_factory=lambda: Waiting(lambda: 0.0))

    def look(self, now: float) -> None:
        self.looks.append(now)
        if self.fault is not None:
            raise self.fault

    def has_sent(self) -> bool:
        return self.says_something

    def drop(self, error: AppError | None = None) -> None:
        self.is_open, self.told = False, error.code if error else None

    def give_up(self) -> None:
        self.is_open = False


class Given:
    """Connections whose refusals are counted."""

    def __init__(self, **how: Any) -> None:
        self.counted: Counter[tuple[str, str]] = Counter()
        self.all = Connections(BOUNDS, count=lambda code, address: self.counted.update([(code, address)]), **how)

    def open(self, network: str, *, begun: bool = False) -> tuple[One, bool]:
        one = One(network)
        is_admitted = self.all.admit(one, network)
        if begun:
            self.all.begin(one)
        return one, is_admitted


def on_a_loop(check: Callable[[], None]) -> None:
    async def run() -> None:
        check()

    asyncio.run(run())


def test_the_oldest_without_a_request_makes_room() -> None:
    def check() -> None:
        given = Given()
        asking, _ = given.open("a", begun=True)
        old, _ = given.open("b")
        new, _ = given.open("c")
        assert given.open("d")[1]
        assert [asking.is_open, old.is_open, new.is_open] == [True, False, True]
        assert given.counted == {("too_many_connections", "b"): 1}

    on_a_loop(check)


def test_an_idle_one_makes_room_only_where_all_others_ask() -> None:
    def check() -> None:
        given = Given()
        idle, _ = given.open("a", begun=True)
        given.all.rest(idle)
        silent, _ = given.open("b")
        given.open("c", begun=True)
        assert given.open("d", begun=True)[1]
        assert (idle.is_open, silent.is_open) == (True, False)
        assert given.open("e", begun=True)[1]
        assert not idle.is_open
        assert given.counted == {("too_many_connections", "b"): 1}  # who is idle was refused nothing

    on_a_loop(check)


def test_one_whose_request_is_there_to_be_read_makes_no_room() -> None:
    def check() -> None:
        given = Given()
        idle, _ = given.open("a", begun=True)
        given.all.rest(idle)
        new, silent = given.open("b")[0], given.open("c")[0]
        idle.says_something = new.says_something = True
        assert given.open("d", begun=True)[1]
        assert (idle.is_open, new.is_open, silent.is_open) == (True, True, False)
        assert not given.open("e")[1]

    on_a_loop(check)


def test_where_all_ask_a_new_one_is_a_guest_and_a_newer_guest_replaces_it() -> None:
    def check() -> None:
        given = Given()
        for network in "abc":
            given.open(network, begun=True)
        guest, is_admitted = given.open("d")
        assert (is_admitted, guest.is_open) == (False, True)
        newer, is_admitted = given.open("e")
        assert (is_admitted, guest.is_open, newer.is_open) == (False, False, True)
        assert guest.told == "too_many_connections"
        given.all.remove(newer)
        assert not given.open("f")[1]

    on_a_loop(check)


def test_one_address_has_its_own_bound_and_a_proxy_has_none() -> None:
    def check() -> None:
        given = Given(trusted=["10.0.0.0/8"])
        for _ in range(2):
            given.open("a", begun=True)
        assert [given.open("a")[1], given.open("b")[1]] == [False, True]
        proxied = Given(trusted=["10.0.0.0/8"])
        assert all(proxied.open("10.1.2.3", begun=True)[1] for _ in range(3))

    on_a_loop(check)


def test_a_lost_one_leaves_room() -> None:
    def check() -> None:
        given = Given()
        opened = [given.open(network, begun=True)[0] for network in "abc"]
        given.all.remove(opened[0])
        given.all.remove(opened[0])
        assert [given.open("d", begun=True)[1], given.open("e")[1]] == [True, False]

    on_a_loop(check)


def test_the_answer_that_was_not_read_for_longest_is_given_up_first() -> None:
    def check() -> None:
        given = Given()
        reads, does_not, newest = (given.open(network, begun=True)[0] for network in "abc")
        for one, last_read in ((reads, 9.0), (does_not, 1.0), (newest, 2.0)):
            one.waiting.last_read, one.unread_bytes = last_read, 60
        given.all.wait_for_reader(does_not)
        given.all.go_on(does_not)
        given.all.wait_for_reader(reads)
        assert [reads.is_open, does_not.is_open] == [True, True]
        given.all.wait_for_reader(does_not)
        assert [reads.is_open, does_not.is_open] == [False, True]  # the answer that is written now stays
        given.all.wait_for_reader(newest)
        assert [does_not.is_open, newest.is_open] == [False, True]

    on_a_loop(check)


@pytest.mark.parametrize("raises", [False, True], ids=["", "though a look raises"])
@pytest.mark.slow
def test_each_is_looked_at_every_second(raises: bool) -> None:
    async def run() -> None:
        asyncio.get_running_loop().set_exception_handler(lambda loop, context: None)
        given = Given()
        one, _ = given.open("a")
        one.fault = RuntimeError("looked at") if raises else None
        async with asyncio.timeout(30):
            while len(one.looks) < (2 if raises else 1):
                await asyncio.sleep(0.05)
        given.all.remove(one)

    asyncio.run(run())


@pytest.mark.slow
def test_between_the_looks_at_many_connections_others_have_their_turn() -> None:
    async def run() -> None:
        every = Connections(Bounds(connections_per_address=1000))
        many = [One("a") for _ in range(2 * SWEPT_AT_ONCE + 1)]
        for one in many:
            every.admit(one, "a")
        every.stop()
        looked_at = [0]
        async with asyncio.timeout(30):
            while looked_at[-1] < len(many):
                await asyncio.sleep(0)
                looked_at.append(sum(len(one.looks) for one in many))
        assert max(later - sooner for sooner, later in itertools.pairwise(looked_at)) == SWEPT_AT_ONCE
        for one in many:
            every.remove(one)

    asyncio.run(run())
