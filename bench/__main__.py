"""`python -m bench`, run by `make bench`: about eight minutes, everything on loopback, nothing left behind."""

from __future__ import annotations

import signal
import sys
import tempfile
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from enum import StrEnum
from pathlib import Path
from types import FrameType
from typing import Annotated

import typer
from rich.console import Console

from .audit import CALLERS, aegis_python, measure_audit
from .before import BEFORE, has_history
from .machine import describe_machine
from .peers import OPENERS, Peer, litellm_executable, open_upstream
from .process import ROOT, ServerFailed
from .report import NAMES, Report
from .rounds import Cell, measure
from .startup import measure_startup
from .targets import Weight

LOGS = ROOT / "logs"  # git ignores what is in it


class Part(StrEnum):
    SERVICE = "service"
    UNSIGNED = "unsigned"
    BEFORE = "before"
    STARLETTE = "starlette"
    LITELLM = "litellm"
    AUDIT = "audit"
    STARTUP = "startup"


ALONE = (Part.AUDIT, Part.STARTUP)
"""What is measured by itself, not asked in turn with the others."""


def bench(
    seconds: Annotated[float, typer.Option(min=0.2, max=60, help="For one server and one number of clients.")] = 2,
    rounds: Annotated[int, typer.Option(min=1, max=50, help="Each figure is their median.")] = 5,
    clients: Annotated[list[int] | None, typer.Option(min=1, max=512, help="Repeat it; default 1, 16 and 64.")] = None,
    part: Annotated[list[Part] | None, typer.Option(help="Repeat it; default all.")] = None,
    records: Annotated[int, typer.Option(min=1000, help="Of the log that the start-up is measured on.")] = 200_000,
    json: Annotated[Path | None, typer.Option(help="Also write all figures to this file.")] = None,
    folder: Annotated[Path, typer.Option(exists=True, help="On a real disk; a temporary folder is made in it.")] = LOGS,
) -> None:
    """Measure this service against its former self, a bare forwarder and LiteLLM; its log against the disk and other logs."""
    console = Console(width=None if sys.stdout.isatty() else 120)
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _interrupt_once)
    parts = _parts(part or list(Part), console)
    machine = describe_machine(folder)
    try:
        with tempfile.TemporaryDirectory(prefix="bench-", dir=folder) as work, console.status("starting") as status:
            servers = [one for one in parts if one not in ALONE]
            sizes = sorted(set(clients or (1, 16, 64)))
            cells, weights = _measure_servers(servers, Path(work), sizes, rounds, seconds, status.update)
            audit = startup = None
            if Part.AUDIT in parts:
                audit = measure_audit(Path(work), callers=CALLERS, rounds=rounds, seconds=seconds / 2, progress=status.update)
            if Part.STARTUP in parts:
                startup = measure_startup(Path(work), records=records, progress=status.update)
    except (ServerFailed, TimeoutError) as failure:
        console.print(str(failure), style="bold red", markup=False)
        raise typer.Exit(1) from None
    except KeyboardInterrupt:
        console.print("Interrupted; all processes are ended and the folder is removed.")
        raise typer.Exit(130) from None
    report = Report(machine, cells, weights, audit, startup)
    report.print(console)
    if json:
        report.write_json(json)


def _measure_servers(
    parts: Sequence[Part],
    work: Path,
    clients: Sequence[int],
    rounds: int,
    seconds: float,
    progress: Callable[[str], None],
) -> tuple[list[Cell], list[Weight]]:
    """All servers are up together; only one is asked at a time."""
    if not parts:
        return [], []
    with ExitStack() as stack:
        upstream = stack.enter_context(open_upstream(work))
        peers: list[Peer] = []
        for one in parts:
            progress(f"starting {NAMES[one]}")
            peers.append(stack.enter_context(OPENERS[one](work, upstream)))
        cells = measure(peers, upstream, clients=clients, rounds=rounds, seconds=seconds, progress=progress)
        return cells, [
            Weight(peer.name, peer.ready_seconds, peer.process.pss_bytes(), peer.process.largest_rss_bytes()) for peer in peers
        ]


def _parts(wanted: Sequence[Part], console: Console) -> list[Part]:
    """Without what is not there, and loudly so."""
    missing = []
    if Part.LITELLM in wanted and not litellm_executable().exists():
        missing.append(Part.LITELLM)
        _leave_out(console, "LiteLLM", f"there is no {litellm_executable()}. `make bench-peers` installs it.")
    if Part.BEFORE in wanted and not has_history():
        missing.append(Part.BEFORE)
        _leave_out(console, "The service before evidence", f"commit {BEFORE} is not in this folder's git history.")
    if Part.AUDIT in wanted and not aegis_python().exists():
        _leave_out(console, "aegis-latent-core", f"there is no {aegis_python()}. `make bench-peers` installs it.")
    return [one for one in wanted if one not in missing]


def _leave_out(console: Console, what: str, why: str) -> None:
    console.print(f"[bold yellow]{what} is left out:[/] {why}")


def _interrupt_once(number: int, frame: FrameType | None) -> None:
    """The first signal unwinds; later ones must not disturb the cleaning up."""
    for one in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(one, signal.SIG_IGN)
    raise KeyboardInterrupt


if __name__ == "__main__":
    typer.run(bench)
