"""The result: tables for people, one JSON document for machines, and the targets with met or not met."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from rich.console import Console

from .audit import OURS, AuditFigures, median_rates
from .machine import Machine
from .rounds import Cell, medians
from .startup import StartupFigures
from .streams import StreamCell, stream_medians
from .tables import (
    NAMES,
    STREAM_NAMES,
    audit_table,
    delayed_table,
    speed_table,
    startup_table,
    stream_table,
    target_table,
    weight_table,
)
from .targets import Target, Weight, audit_targets, service_targets, startup_targets, stream_targets


@dataclass(frozen=True)
class Report:
    machine: Machine
    cells: list[Cell]
    """All rounds, in the order measured."""
    streams: list[StreamCell]
    """All rounds, in the order measured."""
    delayed: list[Cell]
    """All rounds, in the order measured."""
    weights: list[Weight]
    audit: AuditFigures | None
    startup: StartupFigures | None

    @property
    def failures(self) -> dict[str, int]:
        """Failures by server, clients and reason."""
        asked = {f"{NAMES[cell.server]}, {cell.clients} clients": cell.failures for cell in medians(self.cells)}
        asked |= {f"{STREAM_NAMES[cell.server]}, slow upstream": cell.failures for cell in medians(self.delayed)}
        for cell in stream_medians(self.streams):
            asked[f"{STREAM_NAMES[cell.server]}, chunks {cell.scene.name}, {cell.scene.clients} clients"] = cell.failures
        return {f"{name}: {reason}": count for name, failures in asked.items() for reason, count in failures.items()}

    def targets(self) -> list[Target]:
        """The targets that this run measured."""
        found = [*service_targets(self.cells, self.weights), *stream_targets(self.streams)]
        if self.audit:
            found += audit_targets(self.audit)
        if self.startup:
            found += startup_targets(self.startup)
        return found

    def doubts(self) -> list[str]:
        """Signs in the figures that they are not reliable."""
        rates = {(rate.callers, rate.writer): rate.per_second for rate in median_rates(self.audit.rates)} if self.audit else {}
        if any(rates[callers, "raw"] < rate for (callers, writer), rate in rates.items() if writer in OURS):
            return ["The log was faster than the raw limit: others used this disk meanwhile, so the shares of it mean nothing."]
        return []

    def write_json(self, path: Path) -> None:
        document = asdict(self) | {
            "medians": [asdict(cell) for cell in medians(self.cells)],
            "delayed_medians": [asdict(cell) for cell in medians(self.delayed)],
            "stream_medians": [asdict(cell) for cell in stream_medians(self.streams)],
            "median_rates": [asdict(rate) for rate in median_rates(self.audit.rates)] if self.audit else [],
            "targets": [asdict(target) for target in self.targets()],
        }
        path.write_text(json.dumps(document, indent=2) + "\n")

    def print(self, console: Console) -> None:
        machine = self.machine
        console.print(f"\n{machine.processor}, {machine.cores} cores; Linux {machine.kernel}; Python {machine.python}")
        console.print(f"log on {machine.file_system}; load before the run {machine.load_before:.1f}")
        if self.cells:
            console.print(speed_table(self.cells))
        if self.streams:
            console.print(stream_table(self.streams))
        if self.delayed:
            console.print(delayed_table(self.delayed))
        if self.weights:
            console.print(weight_table(self.weights))
        if self.audit:
            console.print(audit_table(self.audit))
        if self.startup:
            console.print(startup_table(self.startup))
        if targets := self.targets():
            console.print(target_table(targets))
        for warning in [*machine.warnings, *self.doubts()]:
            console.print(f"[bold yellow]Doubtful:[/] {warning}")
        for failure, count in self.failures.items():
            console.print(f"[bold white on red] FAILED [/] {count} times: {failure}")
