"""`python -m tests.faults.nodes`: the long versions. Prints a dated table; exits with 1 if a promise was broken."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from functools import partial

from ..__main__ import Round, print_rounds
from . import limits, one_log, rolling

PARTS = ("steps", "sixty", "limits", "crowd", "budget", "cut", "frozen", "rolling")


def rounds_of(part: str, seconds: float) -> Iterator[Round]:
    if part == "steps":
        yield "100,000 steps of windows, as many of tokens, beside shared memory", partial(limits.steps, count=100_000)
    if part == "sixty":
        yield "RATE_LIMIT=60, 600 questions over 4 nodes", partial(limits.sixty, questions=600)
    if part == "limits":
        for policy in ("refuse", "local_share"):
            for fault in limits.FAULTS:
                fail = partial(limits.fail, fault=fault, policy=policy, seconds=seconds)
                yield f"the server of limits {fault} for {seconds:g} s, {policy}, 2 nodes", fail

    if part == "crowd":
        yield "20,000 questions over 4 nodes of 64 clients", partial(one_log.crowd, questions=20_000)
    if part == "budget":
        yield "1,000 ask at once against money for 100, 4 nodes", partial(one_log.budget, clients=1000, money_for=100)
    if part == "cut":
        for what in ("PostgreSQL", "Valkey"):
            yield f"1 of 2 nodes cut off from {what} for {seconds:g} s", partial(one_log.cut_off, what=what, seconds=seconds)
    if part == "frozen":
        for replaced in (False, True):
            freeze = partial(one_log.frozen, seconds=3 * seconds, replaced=replaced)
            yield f"1 of 2 nodes frozen for {3 * seconds:g} s" + ", and replaced meanwhile" * replaced, freeze

    if part == "rolling":
        yield "each of 2 nodes restarted twice behind HAProxy", partial(rolling.restart, rounds=2)


def main() -> int:
    arguments = argparse.ArgumentParser(prog="python -m tests.faults.nodes", description=__doc__)
    arguments.add_argument("part", nargs="?", choices=[*PARTS, "all"], default="all")
    arguments.add_argument("--seconds", type=float, default=10, help="how long each fault lasts")
    asked = arguments.parse_args()
    parts = PARTS if asked.part == "all" else (asked.part,)
    return print_rounds("tests.faults.nodes", ((part, rounds_of(part, asked.seconds)) for part in parts))


if __name__ == "__main__":
    sys.exit(main())
