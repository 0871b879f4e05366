"""The long versions of the crash tests, as a command; it prints a dated table and ends with 1 where a promise was broken."""

from __future__ import annotations

import argparse
import os
import platform
import sys
import tempfile
import traceback
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from . import crash, every_byte, full
from .crash import Figures

PARTS = ("load", "kill", "full", "bytes")
Round = tuple[str, Callable[[Path], Figures]]


def rounds_of(part: str, rounds: int) -> Iterator[Round]:
    if part == "load":
        yield "5,000 questions, 64 clients, 4 workers", lambda folder: crash.load(folder, questions=5000)
    if part == "bytes":
        yield "every byte of 200 lines made every other value", lambda folder: every_byte.change_every_byte()
    for workers in (1, 4):
        if part == "kill":
            kill = partial(crash.kills, rounds=rounds, workers=workers)
            yield f"{rounds} x kill -9, 64 clients, {workers} worker(s)", kill
        if part == "full":
            fill = partial(full.fill, workers=workers, fills=5)
            yield f"tmpfs of 64 KiB filled 5 times, 64 clients, {workers} worker(s)", fill


def told(figures: Figures) -> str:
    ready = sorted(figures.ready)
    parts = [f"{figures.answers:,} answered", f"{figures.records:,} records", f"{figures.seconds:.1f} s"]
    if figures.broken:
        parts.append(f"{figures.broken:,} refused or cut off")
    if ready:
        parts += [f"{figures.left_open} left open", f"{figures.recovered} torn tails set aside"]
        median, most = ready[len(ready) // 2], ready[len(ready) * 19 // 20]
        parts.append(f"again after {median:.2f} s (median), {most:.2f} s (19 of 20), {ready[-1]:.2f} s (longest)")
    return ", ".join(parts)


def main() -> int:
    arguments = argparse.ArgumentParser(prog="python -m tests.torture", description=__doc__)
    arguments.add_argument("part", nargs="?", choices=[*PARTS, "all"], default="all")
    arguments.add_argument("--rounds", type=int, default=200, help="kills for each number of workers")
    given = arguments.parse_args()
    print(f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC   python -m tests.torture {' '.join(sys.argv[1:])}")
    print(f"{platform.platform()}, {os.cpu_count()} cores, Python {platform.python_version()}\n", flush=True)
    broken = 0
    for part in PARTS if given.part == "all" else (given.part,):
        for name, run in rounds_of(part, given.rounds):
            with tempfile.TemporaryDirectory(prefix="torture-") as folder:
                try:
                    line = "held    " + told(run(Path(folder) / "service"))
                except BaseException as error:  # the outermost door: say it, keep going with the next part
                    if isinstance(error, KeyboardInterrupt):
                        raise
                    traceback.print_exc()
                    line, broken = f"BROKEN  {type(error).__name__}: {str(error)[:200]}", broken + 1
            print(f"{part:<6} {name:<52} {line}", flush=True)
    print("\n" + ("every promise held" if not broken else f"{broken} broken"))
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
