"""The outcome: tables for people, one JSON document for machines, and the issue's targets with met or not met."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table

from .audit import OURS, AuditFigures, median_rates
from .machine import Machine
from .rounds import Cell, medians
from .startup import StartupFigures
from .targets import Target, Weight, audit_targets, service_targets, startup_targets

NAMES = {
    "service": "this service",
    "unsigned": "without notary",
    "before": "before evidence",
    "starlette": "bare Starlette",
    "litellm": "LiteLLM proxy",
}
WRITERS = {
    "raw": "raw limit: write + fdatasync",
    "sqlite": "SQLite, a transaction for so many rows",
    "sqlite-group": "SQLite, group commit by a thread",
    "log": "this log, 1 process",
    "log-4": "this log, 4 processes",
    "aegis": "aegis-latent-core's ledger",
}


@dataclass(frozen=True)
class Report:
    machine: Machine
    cells: list[Cell]
    """All rounds, in the order measured."""
    weights: list[Weight]
    audit: AuditFigures | None
    startup: StartupFigures | None

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
        found = list(service_targets(self.cells, self.weights))
        if self.audit:
            found += audit_targets(self.audit)
        if self.startup:
            found += startup_targets(self.startup)
        return found

    def doubts(self) -> list[str]:
        """What in the figures themselves shows that they are not to be relied on."""
        rates = {(rate.callers, rate.writer): rate.per_second for rate in median_rates(self.audit.rates)} if self.audit else {}
        if any(rates[callers, "raw"] < rate for (callers, writer), rate in rates.items() if writer in OURS):
            return ["The log was faster than the raw limit: others used this disk meanwhile, so the shares of it mean nothing."]
        return []

    def write_json(self, path: Path) -> None:
        document = asdict(self) | {
            "medians": [asdict(cell) for cell in medians(self.cells)],
            "median_rates": [asdict(rate) for rate in median_rates(self.audit.rates)] if self.audit else [],
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
        if self.startup:
            console.print(_startup_table(self.startup))
        if targets := self.targets():
            console.print(_target_table(targets))
        for warning in [*machine.warnings, *self.doubts()]:
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
    table = _table(f"Durable records, {audit.record_bytes:.0f} bytes each; medians of all rounds", ("callers", "what writes"))
    for column in ("records/s", "of raw", "a sync", "signed after, s"):
        table.add_column(column, justify="right")
    rates = median_rates(audit.rates)
    raw = {rate.callers: rate.per_second for rate in rates if rate.writer == "raw"}
    for before, rate in zip([None, *rates], rates, strict=False):
        if before and before.callers != rate.callers:
            table.add_section()
        share = f"{100 * rate.per_second / raw[rate.callers]:.0f} %" if raw.get(rate.callers) else "?"
        figures = (f"{rate.per_second:,.0f}", share, f"{rate.for_each_sync:.0f}", _number(rate.signed_after, 2))
        table.add_row(str(rate.callers), WRITERS[rate.writer], *figures)
    verified = f"{audit.verified_per_second:,.0f}"
    table.add_section()
    table.add_row("-", f"verified on one core, with tree ({audit.verified_records:,})", verified, "", "", "")
    return table


def _startup_table(startup: StartupFigures) -> Table:
    table = _table(f"A log of {startup.records:,} records ({startup.log_bytes / 1e9:.2f} GB)", ("what",))
    table.add_column("s", justify="right")
    table.add_row("ready after start", f"{startup.ready_seconds:.2f}")
    table.add_row("ready after start, a log of a few records", f"{startup.ready_seconds_small:.2f}")
    table.add_row("a head over the first new record signed after start", f"{startup.first_head_seconds:.2f}")
    rate = startup.records / startup.verify_seconds
    table.add_row(f"audit verify, all of it ({rate:,.0f} records/s)", f"{startup.verify_seconds:.2f}")
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
