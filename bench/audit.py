"""The audit log alone: durable records per second against the disk, SQLite and aegis-latent-core; verified records per second.

Each writer is its own process. They write one after the other, round by round, so that a noisy minute affects all of them.
The notary process signs checkpoints of our log meanwhile, and has caught up before the next writer starts.
"""

from __future__ import annotations

import os
import statistics
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from .notary import create_log, notary_command, verify, wait_until_signed
from .process import ROOT, Process, running
from .writers import Writers, writing

CALLERS = (1, 16, 64, 256)
OURS = {"log": 1, "log-4": 4}
"""Our own writers, and how many processes share the log."""
VERIFY_PASSES = 3


@dataclass(frozen=True)
class Rate:
    """The rate of one burst, or the median of all."""

    writer: str
    callers: int
    per_second: float
    """Durable records per second."""
    for_each_sync: float
    """Records that shared one sync, on average."""
    signed_after: float | None
    """Longest time in seconds from the end of a burst to a checkpoint over all its records; None if nothing is signed."""


@dataclass(frozen=True)
class AuditFigures:
    rates: list[Rate]
    """All rounds in the order measured."""
    record_bytes: float
    verified_per_second: float
    """Records verified per CPU second (user and system): bytes, links, digests and tree."""
    verified_records: int


def aegis_python() -> Path:
    """From AEGIS_PYTHON, or the place that `make bench-peers` uses. It may not exist."""
    return Path(os.environ.get("AEGIS_PYTHON") or ROOT / ".venv-aegis/bin/python").absolute()


def measure_audit(
    folder: Path, *, callers: Sequence[int], rounds: int, seconds: float, progress: Callable[[str], None]
) -> AuditFigures:
    """Measure in *folder*, which must be on a real disk. Each burst lasts *seconds*."""
    path = folder / "audit_log.jsonl"
    create_log(path)
    rates: list[Rate] = []
    sizes: list[float] = []
    with _writers(folder, path) as writers:
        for number in range(1, rounds + 1):
            for count in callers:
                for one in (one for one in writers if count % one.processes == 0):
                    progress(f"audit log, round {number} of {rounds}: {one.name}, {count} callers")
                    written = one.burst(count, seconds)
                    signed_after = wait_until_signed(path) if one.name in OURS else None
                    rates.append(
                        Rate(one.name, count, written.records / seconds, written.records / max(written.syncs, 1), signed_after)
                    )
                    if written.size:
                        sizes.append(written.size / written.records)
    progress("audit log, verification")
    verified = [_verify(path) for _ in range(VERIFY_PASSES)]
    return AuditFigures(rates, statistics.median(sizes), statistics.median(rate for rate, _ in verified), verified[-1][1])


@contextmanager
def _writers(folder: Path, path: Path) -> Iterator[list[Writers]]:
    """All writers, idle, with the notary process running."""

    def command(module: str, *arguments: str) -> list[str]:
        return [sys.executable, "-m", f"bench.{module}", *arguments]

    commands = {
        "raw": (command("write_raw", str(folder / "raw.bin")), 1),
        "sqlite": (command("write_sqlite", "batch", str(folder / "batch.sqlite")), 1),
        "sqlite-group": (command("write_sqlite", "group", str(folder / "group.sqlite")), 1),
        **{name: (command("write_log", str(path)), processes) for name, processes in OURS.items()},
    }
    if aegis_python().exists():
        commands["aegis"] = ([str(aegis_python()), "-m", "bench.write_aegis", str(folder / "aegis.jsonl")], 1)
    with ExitStack() as stack:
        stack.enter_context(running(Process("notary", notary_command(path), cwd=ROOT, env={}, log=folder / "notary.log")))
        yield [
            stack.enter_context(writing(Writers(name, command, processes=processes, log=folder / f"{name}.log")))
            for name, (command, processes) in commands.items()
        ]


def median_rates(rates: Sequence[Rate]) -> list[Rate]:
    """One for each writer and number of callers."""
    groups: dict[tuple[int, str], list[Rate]] = {}
    for rate in rates:
        groups.setdefault((rate.callers, rate.writer), []).append(rate)
    return [
        Rate(
            writer,
            callers,
            statistics.median(rate.per_second for rate in group),
            statistics.median(rate.for_each_sync for rate in group),
            max((rate.signed_after for rate in group if rate.signed_after is not None), default=None),
        )
        for (callers, writer), group in groups.items()
    ]


def _verify(path: Path) -> tuple[float, int]:
    before = os.times()
    report = verify(path)
    after = os.times()
    if not report.ok or report.signatures.up_to != report.entries - 1:
        raise AssertionError("The log that was just measured does not verify.")
    spent = sum(after[:4]) - sum(before[:4])
    return report.entries / spent, report.entries
