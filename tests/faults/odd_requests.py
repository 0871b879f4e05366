"""The long runs of requests that nobody should send: `make fuzz`."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from . import corpora, described, hostile, million, mutants, probes, slow, smuggling
from .nodes.rounds import Round

PARTS = ("described", "smuggling", "mutants", "corpora", "slow", "million")
LEAST_SECONDS = 10
"""Of slow callers, so that slowhttptest looks twice; of the quiet before a flood, so that a 99th centile says something."""


def rounds_of(part: str, rounds: int | None, percent: int) -> Iterator[Round]:
    """*rounds* replaces the usual number; else *percent* of it is run, and less than all with one worker only."""
    for workers in (1, 4) if percent >= 100 else (1,):
        yield from _rounds_of(part, rounds, percent, workers)


def _rounds_of(part: str, rounds: int | None, percent: int, workers: int) -> Iterator[Round]:
    callers = f"{workers} worker(s)"
    if part == "described":
        examples = rounds or max(1, 500 * percent // 100)
        for role in described.ROLES:
            check = partial(described.describe, role=role, examples=examples, workers=workers)
            yield f"schemathesis, {examples} examples as {role}, {callers}", check
    if part == "smuggling":
        yield f"{len(probes.PROBES)} probes, directly and behind nginx, {callers}", partial(smuggling.smuggle, workers=workers)
    if part == "mutants":
        number = rounds or 500 * percent
        yield f"{number:,} mutants of good requests, {callers}", partial(mutants.mutate, mutants=number, workers=workers)
    if part == "corpora":
        sent = partial(corpora.send_all, workers=workers, step=100 // percent)
        yield f"{percent} % of odd JSON and strings at every endpoint, {callers}", sent
    if part == "slow":
        seconds = rounds or max(LEAST_SECONDS, 60 * percent // 100)
        for mode in slow.MODES:
            slowed = partial(slow.slow_down, mode=mode, connections=2000, seconds=seconds, workers=workers)
            yield f"slowhttptest: {mode}, 2,000 connections, {callers}", slowed
    if part == "million":
        hostile.raise_client_limit()
        number, quiet = rounds or 10_000 * percent, max(LEAST_SECONDS, 60 * percent // 100)
        flood = partial(million.flood, requests=number, rate=million.RATE, quiet_seconds=quiet, workers=workers)
        yield f"{number:,} hostile requests, {callers}", flood
