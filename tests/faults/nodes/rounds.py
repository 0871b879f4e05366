"""The long runs over several nodes: parts of `python -m tests.faults`."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

from ..figures import Figures
from . import clients, limits, news, one_log, partition, rolling

PARTS = ("steps", "sixty", "limits", "crowd", "spent", "cut", "partition", "frozen", "clients", "news", "rolling", "upgrade")
Round = tuple[str, Callable[[Path], Figures]]


def rounds_of(part: str, rounds: int | None) -> Iterator[Round]:
    """*rounds* replaces the usual number of seconds that a fault lasts, or of restarts."""
    seconds = rounds or 10
    if part == "steps":
        yield "100,000 steps of windows, as many of tokens, beside shared memory", partial(limits.steps, count=100_000)
    if part == "sixty":
        yield "RATE_LIMIT=60, 600 questions over 4 nodes", partial(limits.sixty, questions=600)
    if part == "limits":
        for policy in ("refuse", "local_share"):
            for fault in limits.FAULTS:
                fail = partial(limits.fail, fault=fault, policy=policy, seconds=seconds)
                yield f"the server of limits: {fault} for {seconds} s, {policy}, 2 nodes", fail
    if part == "crowd":
        yield "20,000 questions over 4 nodes of 64 clients", partial(one_log.crowd, questions=20_000)
    if part == "spent":
        yield "1,000 ask at once against money for 100, 4 nodes", partial(one_log.budget, clients=1000, money_for=100)
    if part == "cut":
        for what in ("PostgreSQL", "Valkey"):
            yield f"1 of 2 nodes cut off from {what} for {seconds} s", partial(one_log.cut_off, what=what, seconds=seconds)
    if part == "partition":
        for direction in partition.DIRECTIONS:
            fail = partial(partition.partition, direction=direction, seconds=seconds)
            yield f"1 of 2 nodes, in namespaces, without PostgreSQL and Valkey for {seconds} s: {direction}", fail
    if part == "frozen":
        for replaced in (False, True):
            freeze = partial(one_log.frozen, seconds=3 * seconds, replaced=replaced)
            yield f"1 of 2 nodes frozen for {3 * seconds} s" + ", and replaced meanwhile" * replaced, freeze
    if part == "clients":
        for fault in clients.NAMES:
            yield (
                f"the database of clients: {fault}, {seconds} s, 2 nodes",
                partial(clients.fail, faults=[fault], seconds=seconds),
            )
    if part == "rolling":
        yield f"{rounds or 10} restarts of 2 nodes in turn, behind HAProxy", partial(rolling.restart, restarts=rounds or 10)
    if part == "upgrade":
        yield "1 of 2 nodes of an older release upgraded, behind HAProxy", rolling.upgrade
    if part == "news":
        for way in news.WAYS:
            yield f"a change at one node, 2 nodes: {way}", partial(news.spread, way=way)
