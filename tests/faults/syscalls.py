"""Every system call of one append is traced, then made to fail in every way, one at a time.

The list of faults comes from a trace of the program itself, so it follows the code.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from .figures import Figures
from .programs import PROGRAMS, Program, acknowledged
from .strace import Call, Traced, paths_of, python, trace

HOW = ("error=EIO", "error=ENOSPC", "signal=SIGKILL")
WRITES = frozenset({"pwrite64", "write"})
SYNCS = frozenset({"fdatasync", "fsync"})
PAGE = 4096


@dataclass(frozen=True, slots=True)
class Fault:
    """What happens to the *number*-th *call* on the log's files: an error, a kill, `short` or `limit=n`.

    `short` passes half of the bytes to the kernel, as in a short write. `limit` is a real short write (RLIMIT_FSIZE): the
    file may grow to n bytes, then EFBIG. strace's `retval=` could only fake a result.
    """

    call: str
    number: int
    how: str

    def __str__(self) -> str:
        return f"{self.call} {self.number}: {self.how}"


@dataclass(frozen=True)
class Plan:
    """The calls of one program without a new fault, and all faults that can be tried."""

    program: Program
    calls: list[Call]
    paths: list[str]
    faults: list[Fault]


def plan(program: Program, folder: Path) -> Plan:
    """Trace the program twice: without paths to learn which files it uses, then with them to count as `when=` does."""
    first = _run(program, folder / "files", [], Fault("", 0, ""))
    names = [path.removeprefix(str(folder / "files")) for path in paths_of(first.calls, folder / "files")]
    traced = _run(program, folder / "trace", names, Fault("", 0, ""))
    assert len(acknowledged(traced)) == program.promises, (traced.said, traced.errors)
    return Plan(program, traced.calls, names, list(_faults(program, traced.calls)))


def _faults(program: Program, calls: list[Call]) -> Iterator[Fault]:
    begun = program.given is None
    writes = 0
    for call in calls:
        writes += call.name in WRITES
        if not begun:
            begun = call.is_injected  # calls before it are tried in the program without a given fault
            continue
        for how in HOW:
            # one expression for each name of a call: a second sync can fail as the first did, but not be killed instead
            if program.given is None or call.name != program.given.split(":")[0] or how == program.given.split(":")[1]:
                yield Fault(call.name, call.number, how)
        if call.name in WRITES:
            yield Fault(call.name, writes, "short")
            if call.name == "pwrite64" and not call.file.endswith(".lock"):
                count, offset = call.numbers[-2:]
                yield Fault(call.name, call.number, f"limit={offset + count // 2}")


def endure(planned: Plan, fault: Fault, folder: Path) -> None:
    """Run the program with this fault. Raises AssertionError where a promise was broken."""
    program = planned.program
    folder.mkdir(parents=True)
    place = folder / "run"
    before = program.prepare(_made(place))
    traced = _traced(program, place, planned.paths, fault)
    _was_met(traced, fault)
    assert not [one for one in traced.said if one.startswith("escaped")], traced.said
    syncs_are_never_simply_retried(traced.calls)
    program.check(place, [*before, *acknowledged(traced)])
    shutil.rmtree(folder)


def _was_met(traced: Traced, fault: Fault) -> None:
    """Check that the fault hit the intended call."""
    if fault.how == "signal=SIGKILL":
        assert traced.status == -9, traced
        assert (traced.calls[-1].name, traced.calls[-1].number) == (fault.call, fault.number), traced.calls[-1]
        return
    assert traced.status == 0, traced
    if fault.how.startswith("error"):
        assert (fault.call, fault.number) in [(one.name, one.number) for one in traced.calls if one.is_injected], traced.calls
    if fault.how.startswith("limit"):
        assert any("EFBIG" in call.text for call in traced.calls), traced.calls


def syncs_are_never_simply_retried(calls: Iterable[Call]) -> None:
    """After a failed sync, its pages are written again or cut off before the next sync of that file."""
    waiting: dict[str, set[int]] = {}  # by file: the pages written since the last sync that succeeded
    lost: dict[str, set[int]] = {}  # pages that a failed sync may have marked clean although the disk never got them
    for call in calls:
        dirty, gone = waiting.setdefault(call.file, set()), lost.setdefault(call.file, set())
        if call.name == "pwrite64" and (call.result or 0) > 0:
            offset = call.numbers[-1]
            written = set(range(offset // PAGE, (offset + (call.result or 0) - 1) // PAGE + 1))
            dirty |= written
            gone -= written
        elif call.name == "ftruncate" and call.result == 0:
            past = {page for page in dirty | gone if page * PAGE >= call.numbers[-1]}
            dirty -= past
            gone -= past
        elif call.name in SYNCS:
            assert not gone, f"a failed sync was retried, and {len(gone)} pages were not written again: {call.text}"
            if call.result == 0:
                dirty.clear()
            else:
                gone |= dirty


def _run(program: Program, place: Path, names: list[str], fault: Fault) -> Traced:
    program.prepare(_made(place))
    return _traced(program, place, names, fault)


def _traced(program: Program, place: Path, names: list[str], fault: Fault) -> Traced:
    short = fault.number if fault.how == "short" else 0
    limit = fault.how.removeprefix("limit=") if fault.how.startswith("limit") else "0"
    inject = [] if program.given is None else [program.given]
    if fault.how.startswith(("error", "signal")):
        if inject and fault.call == program.given.split(":")[0]:  # type: ignore[union-attr]  # it is not None: inject has it
            inject = [f"{inject[0]}..{fault.number}"]
        else:
            inject.append(f"{fault.call}:{fault.how}:when={fault.number}")
    command = python(program.source, str(place), str(short), limit)
    return trace(command, place, paths=[str(place) + name for name in names], inject=inject)


def _made(place: Path) -> Path:
    place.mkdir(parents=True)
    return place


def every_call(folder: Path, name: str, part: int = 0, parts: int = 1) -> Figures:
    """Try every fault of the program *name*, or every *parts*-th. `answers` counts the runs."""
    started = time.monotonic()
    planned = plan(PROGRAMS[name], folder)
    faults = planned.faults[part::parts]
    for number, fault in enumerate(faults):
        try:
            endure(planned, fault, folder / str(number))
        except AssertionError as error:
            raise AssertionError(f"{name}, {fault}: {error}") from error
    return Figures(len(faults), len(planned.calls), time.monotonic() - started)
