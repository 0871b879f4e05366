"""The figures as tables for people."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from rich.table import Table

from .audit import AuditFigures, median_rates
from .delayed import CLIENTS, DELAY_SECONDS
from .rounds import Cell, medians
from .startup import StartupFigures
from .streams import CHUNKS, StreamCell, stream_medians
from .targets import Target, Weight

NAMES = {
    "service": "this service, /ask",
    "chat": "this service, /v1",
    "unsigned": "without notary",
    "again": "the service again",
    "two": "two workers",
    "before": "the service before",
    "starlette": "bare Starlette",
    "litellm": "LiteLLM proxy",
    "ferro": "Ferro (Go, no log)",
    "upstream": "upstream itself",
}
STREAM_NAMES = NAMES | {"service": NAMES["chat"]}
SERVER_NAMES = NAMES | {"service": "this service"}
WRITERS = {
    "raw": "raw limit: write + fdatasync",
    "sqlite": "SQLite, a transaction for so many rows",
    "sqlite-group": "SQLite, group commit by a thread",
    "log": "this log, 1 process",
    "log-4": "this log, 4 processes",
    "aegis": "aegis-latent-core's ledger",
}


def speed_table(cells: Sequence[Cell]) -> Table:
    """Peers are compared with our endpoint of the same protocol, if it was measured."""
    table = _table("Medians of all rounds, one worker each", ("clients", "server"))
    columns = ("requests/s", "CPU-ms a request", "p50 ms", "p99 ms", "ours: requests/s", "ours: CPU")
    for column in (*columns, "failed"):
        table.add_column(column, justify="right")
    figures = medians(cells)
    found = {(cell.server, cell.clients): cell for cell in figures}
    for before, cell in zip([None, *figures], figures, strict=False):
        if before and before.clients != cell.clients:
            table.add_section()
        mine = None
        if cell.server not in ("service", "chat"):
            endpoints = ("service", "chat") if cell.server in ("unsigned", "again", "two", "before") else ("chat", "service")
            mine = next((found[endpoint, cell.clients] for endpoint in endpoints if (endpoint, cell.clients) in found), None)
        table.add_row(
            str(cell.clients),
            NAMES[cell.server],
            f"{cell.per_second:,.0f}",
            _number(cell.cpu_ms, 2),
            _number(cell.p50_ms, 1),
            _number(cell.p99_ms, 1),
            _ratio(cell, mine, lambda one: one.per_second),
            _ratio(cell, mine, lambda one: one.cpu_ms),
            _failed(cell.failures),
        )
    return table


def delayed_table(cells: Sequence[Cell]) -> Table:
    table = _table(f"Added to an upstream of {1000 * DELAY_SECONDS:g} ms, one worker each, {CLIENTS} clients", ("server",))
    for column in ("p50 ms", "p99 ms", "requests/s", "failed"):
        table.add_column(column, justify="right")
    for cell in medians(cells):
        added = [_number(None if one is None else one - 1000 * DELAY_SECONDS, 1) for one in (cell.p50_ms, cell.p99_ms)]
        table.add_row(STREAM_NAMES[cell.server], *added, f"{cell.per_second:,.0f}", _failed(cell.failures))
    return table


def weight_table(weights: Sequence[Weight]) -> Table:
    table = _table("Start and memory, one worker, after the load", ("server",))
    for column in ("ready after, s", "PSS of all processes, MB", "RSS of the worker, MB"):
        table.add_column(column, justify="right")
    for one in weights:
        memory = (f"{one.pss_bytes / 1e6:.0f}", f"{one.worker_rss_bytes / 1e6:.0f}")
        table.add_row(SERVER_NAMES[one.server], f"{one.ready_seconds:.2f}", *memory)
    return table


def stream_table(cells: Sequence[StreamCell]) -> Table:
    title = f"Streams of {CHUNKS} chunks, one worker each; milliseconds after the question: p50 / p99"
    table = _table(title, ("clients, chunks", "server"))
    for column in ("streams/s", "CPU-us\na chunk", "first byte", "first text", "the end,\np50", "ours:\nCPU", "failed"):
        table.add_column(column, justify="right", no_wrap=True)
    figures = stream_medians(cells)
    ours = {cell.scene: cell.cpu_us for cell in figures if cell.server == "service"}
    for before, cell in zip([None, *figures], figures, strict=False):
        if before and before.scene != cell.scene:
            table.add_section()
        table.add_row(
            f"{cell.scene.clients}, {cell.scene.name}",
            STREAM_NAMES[cell.server],
            f"{cell.per_second:,.0f}",
            _number(cell.cpu_us, 0),
            f"{_short(cell.first_byte_p50_ms)} / {_short(cell.first_byte_p99_ms)}",
            f"{_short(cell.first_text_p50_ms)} / {_short(cell.first_text_p99_ms)}",
            _short(cell.p50_ms),
            _times(ours.get(cell.scene), cell.cpu_us) if cell.server in ("starlette", "litellm", "ferro") else "",
            _failed(cell.failures),
        )
    return table


def audit_table(audit: AuditFigures) -> Table:
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


def startup_table(startup: StartupFigures) -> Table:
    table = _table(f"A log of {startup.records:,} records ({startup.log_bytes / 1e9:.2f} GB)", ("what",))
    table.add_column("s", justify="right")
    table.add_row("ready after start", f"{startup.ready_seconds:.2f}")
    table.add_row("ready after start, a log of a few records", f"{startup.ready_seconds_small:.2f}")
    table.add_row("a head over the first new record signed after start", f"{startup.first_head_seconds:.2f}")
    rate = startup.records / startup.verify_seconds
    table.add_row(f"audit verify, all of it ({rate:,.0f} records/s)", f"{startup.verify_seconds:.2f}")
    return table


def target_table(targets: Sequence[Target]) -> Table:
    table = _table("Targets", ("what", "wanted"))
    table.add_column("measured", justify="right")
    table.add_column("")
    for one in targets:
        verdict = "[green]met[/]" if one.met else "[bold red]not met[/]"
        table.add_row(one.name, one.wanted, f"{_short(one.measured, 2)} {one.unit}", verdict)
    return table


def _table(title: str, columns: Sequence[str]) -> Table:
    table = Table(title=title, title_justify="left", title_style="bold")
    for column in columns:
        table.add_column(column, no_wrap=True)
    return table


def _ratio(peer: Cell, ours: Cell | None, figure: Callable[[Cell], float | None]) -> str:
    return "" if ours is None else _times(figure(ours), figure(peer))


def _times(ours: float | None, theirs: float | None) -> str:
    """Our figure divided by the peer's."""
    return f"x {ours / theirs:.2f}" if ours and theirs else "?"


def _failed(failures: dict[str, int]) -> str:
    return f"[bold red]{sum(failures.values())}[/]" if failures else "0"


def _number(value: float | None, digits: int) -> str:
    return "-" if value is None else f"{value:,.{digits}f}"


def _short(value: float | None, digits: int = 1) -> str:
    """No decimals from 100 on."""
    return _number(value, 0 if value is not None and value >= 100 else digits)
