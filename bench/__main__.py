"""`python -m bench`, run by `make bench`: about 15 minutes, everything on loopback, nothing left behind."""

from __future__ import annotations

import signal
import sys
import tempfile
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from types import FrameType
from typing import Annotated

import typer
from rich.console import Console

from .audit import CALLERS, measure_audit
from .before import BEFORE
from .delayed import measure_delayed
from .machine import describe_machine
from .parts import SERVERS, Part, available, left_out, servers_for
from .peers import OPENERS, Opener, Peer, open_before, open_upstream
from .process import ROOT, ServerFailed
from .report import Report
from .rounds import Cell, measure
from .startup import measure_startup
from .streams import StreamCell, measure_streams
from .tables import SERVER_NAMES
from .targets import Weight

LOGS = ROOT / "logs"  # its content is in .gitignore


def bench(
    seconds: Annotated[float, typer.Option(min=0.2, max=60, help="For one server and one number of clients.")] = 2,
    rounds: Annotated[int, typer.Option(min=1, max=50, help="Each figure is their median.")] = 5,
    clients: Annotated[
        list[int] | None, typer.Option(min=1, max=512, help="Of plain questions. Repeat it; default 1, 16, 64.")
    ] = None,
    part: Annotated[list[Part] | None, typer.Option(help="Repeat it; default all.")] = None,
    records: Annotated[int, typer.Option(min=1000, help="Of the log that the start-up is measured on.")] = 200_000,
    json: Annotated[Path | None, typer.Option(help="Also write all figures to this file.")] = None,
    before: Annotated[str, typer.Option(help="The commit that part `before` measures.")] = BEFORE,
    folder: Annotated[Path, typer.Option(exists=True, help="On a real disk; a temporary folder is made in it.")] = LOGS,
) -> None:
    """Measure this service against an earlier version, a bare forwarder, LiteLLM and Ferro; its log against others."""
    console = Console(width=None if sys.stdout.isatty() else 120)
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _interrupt_once)
    wanted = part or list(Part)
    for what, why in left_out(wanted):
        console.print(f"[bold yellow]{what} is left out:[/] {why}")
    parts = available(wanted)
    machine = describe_machine(folder)
    try:
        with tempfile.TemporaryDirectory(prefix="bench-", dir=folder) as work, console.status("starting") as status:
            sizes = sorted(set(clients or (1, 16, 64)))
            cells, streams, delayed, weights = _measure_servers(parts, Path(work), sizes, rounds, seconds, before, status.update)
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
    report = Report(machine, cells, streams, delayed, weights, audit, startup)
    report.print(console)
    if json:
        report.write_json(json)


def _measure_servers(
    parts: Sequence[Part],
    work: Path,
    clients: Sequence[int],
    rounds: int,
    seconds: float,
    before: str,
    progress: Callable[[str], None],
) -> tuple[list[Cell], list[StreamCell], list[Cell], list[Weight]]:
    """All servers run at the same time; only one of them gets requests at a time."""
    if not (servers := servers_for(parts)):
        return [], [], [], []
    openers: dict[str, Opener] = {**OPENERS, Part.BEFORE: partial(open_before, revision=before)}
    with ExitStack() as stack:
        upstream = stack.enter_context(open_upstream(work))
        up: dict[Part, Peer] = {}
        for one in servers:
            progress(f"starting {SERVER_NAMES[one]}")
            up[one] = stack.enter_context(openers[one](work, upstream))
        asked = [up[Part.SERVICE].at_v1(one) if one is Part.CHAT else up[one] for one in parts if one in up or one is Part.CHAT]
        cells = measure(asked, upstream, clients=clients, rounds=rounds, seconds=seconds, progress=progress)
        streams = []
        if Part.STREAMS in parts:
            streamed = [upstream.peer(), *(up[one].at_v1(one) for one in SERVERS[Part.STREAMS] if one in up)]
            streams = measure_streams(streamed, upstream, rounds=rounds, seconds=seconds, progress=progress)
        delayed = []
        if Part.DELAYED in parts:
            asked = [up[one].at_v1(one) if one is Part.SERVICE else up[one] for one in SERVERS[Part.DELAYED] if one in up]
            delayed = measure_delayed(asked, upstream, rounds=rounds, seconds=seconds, progress=progress)
        weights = [
            Weight(name, peer.ready_seconds, peer.process.pss_bytes(), peer.process.largest_rss_bytes())
            for name, peer in up.items()
        ]
        return cells, streams, delayed, weights


def _interrupt_once(number: int, frame: FrameType | None) -> None:
    """The first signal raises KeyboardInterrupt; later ones are ignored so that they do not disturb the cleanup."""
    for one in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(one, signal.SIG_IGN)
    raise KeyboardInterrupt


if __name__ == "__main__":
    typer.run(bench)
