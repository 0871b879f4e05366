"""The long versions of the fault tests, as a command. Prints a dated table; exits with 1 if a promise was broken."""

from __future__ import annotations

import argparse
import os
import platform
import sys
import tempfile
import traceback
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from ..support.browser_verifier import in_chromium, in_node
from . import (
    bad_keys,
    browser_million,
    browser_verifier,
    budgets,
    catalogue,
    crash,
    cut_model,
    cuts,
    every_bit,
    floods,
    forward,
    full,
    full_memory,
    gone,
    health,
    hostile,
    index,
    ledger,
    ledger_clock,
    ledger_load,
    ledger_nodes,
    ledger_services,
    ledger_split,
    odd_requests,
    outage,
    overload,
    pieces,
    power,
    secrets,
    shares,
    signers,
    soak,
    stood_still,
    stopped_streams,
    stops,
    stuck_outputs,
    syscalls,
    tampering,
    windows,
)
from .figures import Figures
from .nodes import rounds as of_nodes
from .programs import PROGRAMS
from .shapes import SHAPES
from .strangers import PARTS as TAMPERED

PARTS = (
    "load",
    "kill",
    "full",
    "gone",
    "cuts",
    "power",
    "syscalls",
    "bits",
    "outputs",
    "tampering",
    "keys",
    "still",
    "stops",
    "soak",
    "secrets",
    "shm",
    "connections",
    "health",
    "pieces",
    "shares",
    *odd_requests.PARTS,
    "windows",
    "budgets",
    "outage",
    "overload",
    "catalogue",
    "verifier",
    "ledger",
    "forward",
    "signers",
    *of_nodes.PARTS,
    "index",
)
TOGETHER = {"fuzz": odd_requests.PARTS, "all": PARTS}
READERS = 16
Round = of_nodes.Round
"""A name and what to run. `held` counts kept promises: answers, acknowledged records, faults survived, edits found."""


def rounds_of(part: str, rounds: int | None, percent: int) -> Iterator[Round]:
    """*rounds* replaces the usual number of kills, power losses, cut streams or minutes; *percent* is of odd requests."""
    if part == "syscalls":
        for name, program in PROGRAMS.items():
            yield f"every system call of {program.what}", partial(syscalls.every_call, name=name)
    if part == "power":
        yield f"{rounds or 500} losses of power, {power.WRITERS} writers", partial(power.cut_power, cuts=rounds or 500)
    if part == "catalogue":
        yield "each way in which a model's server fails", catalogue.catalogue
    if part == "bits":
        yield "every edit of 200 records", lambda folder: every_bit.edit_everything()
    if part == "cuts":
        yield "24 streams of the embedded model cut", partial(cut_model.leave_places, waves=3)
    if part == "keys":
        pairs = rounds or 20_000
        yield f"{pairs:,} pairs: unknown id, wrong secret", partial(bad_keys.time_keys, pairs=pairs)
        yield f"{pairs:,} pairs at /token: unknown client, wrong secret", partial(bad_keys.time_clients, pairs=pairs)
    if part == "windows":
        yield "100,000 steps, beside SQLite", partial(windows.compare, steps=100_000)
        yield "5,000 hits of 4 processes, 1 killed", windows.race
        yield "60 in any window, 100,000 calls", partial(windows.sixty, calls=100_000)
        yield "300 x kill -9 of 3 processes", partial(windows.kill_often, kills=300)
    if part == "verifier":
        yield from _verifier(rounds or 10_000)
    if part == "forward":
        yield (
            f"{rounds or 100} kills of `audit forward` and of its receiver, 3 protocols",
            partial(forward.forward, kills=rounds or 100),
        )
    if part == "index":
        yield "searches among 1,000,000 records", partial(index.look, records=1_000_000)
        yield "an index hurt while its builder runs", partial(index.hurt, kills=rounds or 100, records=10_000)
    if part == "ledger":
        yield from _ledger(rounds)
    if part == "signers":
        number = rounds or 120
        yield f"{number} signers killed, cut off or frozen, 3 nodes", partial(signers.hurt_signers, rounds=number)
        yield "the clock of the server an hour forward and back, 3 nodes", ledger_clock.step_clock
    yield from of_nodes.rounds_of(part, rounds)
    yield from odd_requests.rounds_of(part, rounds, percent)
    if part in ("connections", "shares", "budgets"):
        hostile.raise_client_limit()
    for workers in (1, 4):
        yield from _services(part, workers, rounds)


def _verifier(mutations: int) -> Iterator[Round]:
    for name, run in (("node", in_node), ("Chromium", in_chromium)):
        for what, check in (
            ("logs", browser_verifier.agree_on_logs),
            ("receipts", browser_verifier.agree_on_receipts),
            ("slices", browser_verifier.agree_on_slices),
        ):
            compare = partial(browser_verifier.compare, check=check, run=run, mutations=mutations)
            yield f"{mutations:,} mutated {what}, three verifiers, {name}", compare
    yield "a log of 1,000,000 records in Chromium", partial(browser_million.verify, records=1_000_000)


def _ledger(rounds: int | None) -> Iterator[Round]:
    writers = f"{ledger_load.NODES} nodes of {ledger_load.WRITERS} writers"
    faults = {
        "connections cut": (500, ledger.cut_connections),
        "x kill -9 of a PostgreSQL backend": (200, ledger.kill_backends),
        "crashes of PostgreSQL before the message": (20, ledger.crash_between),
        "standbys promoted": (20, ledger.fail_over),
        "standbys promoted beside a primary that lives on": (5, ledger_split.split),
        "standbys stalled": (20, ledger.stall_standby),
        "x kill -9 of a node": (200, ledger_nodes.kill_nodes),
        "nodes frozen for 30 s, replaced and woken": (6, ledger_nodes.freeze_nodes),
    }
    for name, (usual, run) in faults.items():
        yield f"{rounds or usual} {name}, {writers}", partial(run, rounds=rounds or usual)
    yield "20,000 questions to 4 services, 64 clients each", ledger_services.serve
    died = partial(ledger_services.serve, nodes=2, questions=10_000, failovers=rounds or 5)
    yield f"{rounds or 5} standbys promoted under 2 services, 64 clients each", died


def _services(part: str, workers: int, rounds: int | None) -> Iterator[Round]:
    """The parts that need a running service."""
    load = f"64 clients, {READERS} readers, {workers} worker(s)"
    if part == "load":
        yield f"5,000 questions, {load}", partial(crash.load, questions=5000, workers=workers, readers=READERS)
    if part == "kill":
        number = rounds or (200 if workers == 1 else 1000)
        yield f"{number:,} x kill -9, {load}", partial(crash.kills, rounds=number, workers=workers, readers=READERS)
    if part == "full":
        yield f"tmpfs of 64 KiB filled 5 times, 64 clients, {workers} worker(s)", partial(full.fill, workers=workers, fills=5)
    if part == "cuts":
        yield from _streams(workers, rounds)
    if part == "tampering":
        for name in TAMPERED:
            yield f"{name} changed by a stranger, {workers} worker(s)", partial(tampering.tamper, part=name, workers=workers)
    if part == "connections":
        for row in (*hostile.ROWS, *floods.ROWS):
            yield (
                f"{row.long:,} x {row.name}, {workers} worker(s)",
                partial(hostile.attack, row=row, amount=row.long, workers=workers),
            )
    if part == "keys":
        yield f"10,000 bad keys, {workers} worker(s)", partial(bad_keys.refuse, keys=10_000, workers=workers)
    if part == "pieces":
        seconds = rounds or 4
        yield (
            f"{len(SHAPES)} hostile answers, {pieces.CALLERS} callers for {seconds} s each, {workers} worker(s)",
            partial(pieces.attack, seconds=seconds, workers=workers),
        )
    if part == "budgets" and workers > 1:
        spend = partial(budgets.crowd, clients=1000, money_for=100, workers=workers)
        yield f"1,000 ask at once against money for 100, {workers} workers", spend
        number = rounds or 50
        yield f"{number} x kill -9 under a budget, {workers} workers", partial(budgets.kills, rounds=number, workers=workers)
    if part == "shm":
        yield f"/dev/shm filled 5 times, 16 clients, {workers} worker(s)", partial(full_memory.fill, workers=workers, fills=5)
    if part == "health":
        seconds = rounds or 10
        yield (
            f"/livez and /readyz under floods of {seconds} s, {workers} worker(s)",
            partial(health.watch, seconds=seconds, workers=workers),
        )
    if part == "shares":
        streams = shares.STREAMS_EACH * (1 if workers == 1 else 2)
        yield (
            f"2 principals, 2 servers, {4 * streams:,} streams, {workers} worker(s)",
            partial(shares.share, workers=workers, streams=streams),
        )
    if part == "secrets":
        yield f"secrets in every place, {workers} worker(s)", partial(secrets.hunt, workers=workers)
    if part == "still":
        freezes = rounds or 20
        frozen = partial(stood_still.freeze, rounds=freezes, workers=workers)
        yield f"{freezes} x SIGSTOP of a worker, 16 clients, {workers} worker(s)", frozen
    if part == "stops":
        number = rounds or 200
        yield f"{number} x SIGTERM, 16 clients, {workers} worker(s)", partial(stops.stop, rounds=number, workers=workers)
    if part == "soak" and workers > 1:
        whole = rounds or 60
        yield f"soak: {whole} minutes, a fault every 30 s, 2 workers", partial(soak.soak, seconds=60 * whole)
    if part == "outage":
        for mode in outage.MODES:
            fail = partial(outage.outage, mode=mode, seconds=rounds or 60, workers=workers)
            yield f"{outage.RATE} questions/s, {mode} for {rounds or 60} s, {workers} worker(s)", fail
    if part == "overload" and workers > 1:
        for status in overload.STATUSES:
            flood = partial(overload.overload, status=status, seconds=rounds or 30)
            yield f"a server that bears {overload.BEARS}, then {overload.MORE}, and answers {status} beyond, 2 workers", flood
    if part == "outputs":
        minutes = rounds or 10
        stuck = partial(stuck_outputs.soak, seconds=60 * minutes, workers=workers)
        yield f"output and security log stuck for {minutes} minutes, {workers} worker(s)", stuck
    if part == "gone":
        for how in gone.HOW:
            gone_so = partial(gone.take_away, seconds=60, how=how, workers=workers, readers=READERS, back_within=2.0)
            yield f"disk {how} for 60 s, {load}", gone_so


def _streams(workers: int, rounds: int | None) -> Iterator[Round]:
    streams, callers = rounds or 1000, f"{workers} worker(s)"
    yield f"{streams:,} streams cut by their callers, {callers}", partial(cuts.cut, streams=streams, workers=workers)
    buffered = partial(cuts.cut, streams=100, workers=workers, wave=20, buffered=True)
    yield f"100 streams cut, AUDIT_STREAM=buffer, {callers}", buffered
    yield f"SIGTERM in mid-stream, 30 streams, {callers}", partial(stopped_streams.stop, workers=workers)
    yield f"the log gone at the end of 30 streams, {callers}", partial(stopped_streams.take_log, workers=workers)
    killed = 8 * workers
    kill = partial(stopped_streams.kill, workers=workers, streams=killed)
    yield f"20 x kill -9 of a worker in mid-stream, {killed} streams, {callers}", kill


def summary(figures: Figures) -> str:
    ready = sorted(figures.ready)
    parts = [f"{figures.answers:,} held", f"{figures.records:,} records", f"{figures.seconds:.1f} s"]
    if figures.broken:
        parts.append(f"{figures.broken:,} refused or cut off")
    if ready or figures.recovered:
        parts += [f"{figures.left_open} left open", f"{figures.recovered} torn tails set aside"]
    if len(ready) == 1:
        parts.append(f"again after {ready[0]:.2f} s")
    elif ready:
        median, most = ready[len(ready) // 2], ready[len(ready) * 19 // 20]
        parts.append(f"again after {median:.2f} s (median), {most:.2f} s (19 of 20), {ready[-1]:.2f} s (longest)")
    return ", ".join([*parts, *figures.remarks])


def share(text: str) -> int:
    if not 1 <= int(text) <= 100:
        raise ValueError
    return int(text)


def main() -> int:
    arguments = argparse.ArgumentParser(prog="python -m tests.faults", description=__doc__)
    arguments.add_argument("part", nargs="?", choices=[*PARTS, *TOGETHER], default="all")
    arguments.add_argument(
        "--rounds",
        type=int,
        help="how many kills (200 of one worker, 1,000 of four), losses of power (500), streams cut (1,000),"
        " pairs of keys (20,000), minutes of stuck outputs (10) and of the soak (60), examples of schemathesis (500),"
        " mutants (50,000), hostile requests (1,000,000), restarts of nodes (10), or seconds of slow callers (60),"
        " of an outage (60), of an overload (30) and of faults of nodes (10)",
    )
    arguments.add_argument(
        "--percent",
        type=share,
        default=100,
        help="of the usual number of odd requests, 1 to 100; below 100 with one worker only. `fuzz --percent 1`: ten minutes",
    )
    given = arguments.parse_args()
    parts = TOGETHER.get(given.part, (given.part,))
    return print_rounds("tests.faults", ((part, rounds_of(part, given.rounds, given.percent)) for part in parts))


def print_rounds(program: str, parts: Iterable[tuple[str, Iterable[Round]]]) -> int:
    """Run all of them in turn, and name at the end those that broke a promise. 1 if one did."""
    print(f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC   python -m {program} {' '.join(sys.argv[1:])}")
    print(f"{platform.platform()}, {os.cpu_count()} cores, Python {platform.python_version()}\n", flush=True)
    broken = []
    for part, rounds in parts:
        for name, run in rounds:
            with tempfile.TemporaryDirectory(prefix="faults-") as folder:
                try:
                    line = "held    " + summary(run(Path(folder) / "service"))
                except BaseException as error:  # report it and go on with the next part
                    if isinstance(error, KeyboardInterrupt):
                        raise
                    traceback.print_exc()
                    line = f"BROKEN  {type(error).__name__}: {(str(error).splitlines() or [''])[0][:200]}"
                    broken.append(f"{part:<8} {name:<58} {line}")
            print(f"{part:<8} {name:<58} {line}", flush=True)
    print("\n" + ("\n".join([f"{len(broken)} broken:", *broken]) if broken else "every promise held"))
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
