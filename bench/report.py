"""The outcome: tables for people, one JSON document for machines, and the issue's targets with met or not met."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table

from .audit import CALLERS, AuditFigures
from .machine import Machine
from .rounds import Cell, medians

NAMES = {"service": "this service", "starlette": "bare Starlette", "litellm": "LiteLLM proxy"}


@dataclass(frozen=True)
class Weight:
    """What a server costs before it answers anybody. Bytes are taken after the load."""

    server: str
    ready_seconds: float
    pss_bytes: int
    worker_rss_bytes: int


@dataclass(frozen=True)
class Target:
    """One promise and what came of it. It informs; it fails nothing."""

    name: str
    wanted: str
    measured: float
    unit: str
    met: bool


@dataclass(frozen=True)
class Report:
    machine: Machine
    cells: list[Cell]
    """All rounds, in the order measured."""
    weights: list[Weight]
    audit: AuditFigures | None

    @property
    def failures(self) -> dict[str, int]:
        """By server, clients and reason."""
        return {
            f"{NAMES[cell.server]}, {cell.clients} clients: {reason}": count
            for cell in medians(self.cells)
            for reason, count in cell.failures.items()
        }

    def targets(self) -> list[Target]:
        """Those that this run measured."""
        figures = {(cell.server, cell.clients): cell for cell in medians(self.cells)}
        ours = {clients: cell for (server, clients), cell in figures.items() if server == "service"}
        found = []
        for clients in (16, 64):
            if clients in ours and (peer := figures.get(("litellm", clients))) and peer.per_second:
                ratio = ours[clients].per_second / peer.per_second
                found.append(_least(f"requests/s against LiteLLM, {clients} clients", 10, ratio, "times"))
        found += [
            _most(f"CPU a question, clients: {clients}", 1.5, cell.cpu_ms, "ms")
            for clients, cell in ours.items()
            if cell.cpu_ms is not None
        ]
        if 64 in ours and (p99 := ours[64].p99_ms) is not None:
            found.append(_most("p99, 64 clients", 150, p99, "ms"))
        for weight in self.weights:
            if weight.server == "service":
                found.append(_most("ready after start, one worker", 3, weight.ready_seconds, "s"))
                found.append(_most("memory of all its processes (PSS)", 130, weight.pss_bytes / 1e6, "MB"))
        if self.audit:
            share = 100 * self.audit.durable_per_second / self.audit.raw_per_second
            found.append(_least(f"durable records, {CALLERS} callers, of the raw limit", 20, share, "%"))
            found.append(_least("verified records a core", 150_000, self.audit.verified_per_second, "/s"))
        return found

    def write_json(self, path: Path) -> None:
        document = asdict(self) | {
            "medians": [asdict(cell) for cell in medians(self.cells)],
            "targets": [asdict(target) for target in self.targets()],
        }
        path.write_text(json.dumps(document, indent=2) + "\n")

    def print(self, console: Console) -> None:
        machine = self.machine
        console.print(f"\n{machine.processor}, {machine.cores} cores; Linux {machine.kernel}; Python {machine.python}")
        console.print(f"log on {machine.file_system}; load before the run {machine.load_before:.1f}")
        if self.cells:
            console.print(self._speed())
            console.print(self._weights())
        if self.audit:
            console.print(_audit_table(self.audit))
        if targets := self.targets():
            console.print(_target_table(targets))
        for warning in machine.warnings:
            console.print(f"[bold yellow]Doubtful:[/] {warning}")
        for failure, count in self.failures.items():
            console.print(f"[bold white on red] FAILED [/] {count} times: {failure}")

    def _speed(self) -> Table:
        table = _table("Medians of all rounds, one worker each", ("clients", "server"))
        columns = ("requests/s", "CPU-ms a request", "p50 ms", "p99 ms", "ours: requests/s", "ours: CPU")
        for column in (*columns, "failed"):
            table.add_column(column, justify="right")
        figures = medians(self.cells)
        ours = {cell.clients: cell for cell in figures if cell.server == "service"}
        for before, cell in zip([None, *figures], figures, strict=False):
            if before and before.clients != cell.clients:
                table.add_section()
            mine = ours.get(cell.clients)
            table.add_row(
                str(cell.clients),
                NAMES[cell.server],
                f"{cell.per_second:,.0f}",
                _number(cell.cpu_ms, 2),
                _number(cell.p50_ms, 1),
                _number(cell.p99_ms, 1),
                _ratio(cell, mine, lambda one: one.per_second),
                _ratio(cell, mine, lambda one: one.cpu_ms),
                f"[bold red]{sum(cell.failures.values())}[/]" if cell.failures else "0",
            )
        return table

    def _weights(self) -> Table:
        table = _table("Start and memory, one worker, after the load", ("server",))
        for column in ("ready after, s", "PSS of all processes, MB", "RSS of the worker, MB"):
            table.add_column(column, justify="right")
        for one in self.weights:
            memory = (f"{one.pss_bytes / 1e6:.0f}", f"{one.worker_rss_bytes / 1e6:.0f}")
            table.add_row(NAMES[one.server], f"{one.ready_seconds:.2f}", *memory)
        return table


def _audit_table(audit: AuditFigures) -> Table:
    table = _table(f"Audit log alone, {audit.record_bytes:.0f} bytes a record", ("part",))
    table.add_column("records/s", justify="right")
    table.add_row("one caller, a sync for each record", f"{audit.single_per_second:,.0f}")
    table.add_row(f"{CALLERS} callers, group commit ({audit.batch_records:.0f} a sync)", f"{audit.durable_per_second:,.0f}")
    table.add_row(f"raw limit: write + fdatasync, {CALLERS} at a time", f"{audit.raw_per_second:,.0f}")
    table.add_row(f"verified on one core ({audit.verified_records:,} records)", f"{audit.verified_per_second:,.0f}")
    return table


def _target_table(targets: Sequence[Target]) -> Table:
    table = _table("Targets", ("what", "wanted"))
    table.add_column("measured", justify="right")
    table.add_column("")
    for one in targets:
        verdict = "[green]met[/]" if one.met else "[bold red]not met[/]"
        table.add_row(one.name, one.wanted, f"{_number(one.measured, 0 if one.measured >= 100 else 2)} {one.unit}", verdict)
    return table


def _table(title: str, columns: Sequence[str]) -> Table:
    table = Table(title=title, title_justify="left", title_style="bold")
    for column in columns:
        table.add_column(column)
    return table


def _ratio(peer: Cell, ours: Cell | None, figure: Callable[[Cell], float | None]) -> str:
    """How many times the peer's figure ours is."""
    if ours is None or ours is peer:
        return ""
    mine, theirs = figure(ours), figure(peer)
    return f"x {mine / theirs:.2f}" if mine and theirs else "?"


def _number(value: float | None, digits: int) -> str:
    return "-" if value is None else f"{value:,.{digits}f}"


def _least(name: str, least: float, measured: float, unit: str) -> Target:
    return Target(name, f"at least {least:,g} {unit}", measured, unit, measured >= least)


def _most(name: str, most: float, measured: float, unit: str) -> Target:
    return Target(name, f"at most {most:,g} {unit}", measured, unit, measured <= most)
