"""What a worker shows of itself about once a second, beside what it counts."""

from __future__ import annotations

import asyncio
import os
import resource
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path

from ...catalogue.models import Catalogue
from ...errors import AppError
from ...limits.budgets.budgets import Budgets
from ...upstream.model_server import ModelServer
from .board import Meter

SAMPLE_SECONDS = 1.0
SLOW_SAMPLES = 5
"""What costs more is looked at with each fifth sample."""
PAGE_BYTES = resource.getpagesize()


class Sampler:
    """Of one worker."""

    def __init__(self, meter: Meter, process: str, upstreams: Callable[[], Mapping[str, ModelServer]]) -> None:
        self._meter, self._process, self._upstreams = meter, process, upstreams
        self._cpu = 0.0
        meter.set("process_descriptor_limit", process, value=resource.getrlimit(resource.RLIMIT_NOFILE)[0])

    def look_at_servers(self) -> None:
        """Their queues in this worker, and their breakers, which all workers share."""
        servers = self._upstreams()
        slots = {name: server.slots for name, server in servers.items()}
        one = self._meter.set_family
        one("upstream_in_flight", {(name,): float(found.in_flight) for name, found in slots.items()})
        one("upstream_waiting", {(name,): float(found.waiting) for name, found in slots.items()})
        one("upstream_slots", {(name,): float(found.size) for name, found in slots.items()})
        one("breaker_open", {(name,): float(server.breaker.is_open) for name, server in servers.items()})
        one("breaker_failures_in_a_row", {(name,): float(server.breaker.failures) for name, server in servers.items()})

    def look_at_process(self) -> None:
        used = time.process_time()
        self._meter.add("process_cpu_seconds_total", self._process, amount=used - self._cpu)
        self._cpu = used
        with suppress(OSError):  # each look takes a descriptor, and there may be none
            self._meter.set("process_resident_memory_bytes", self._process, value=resident_bytes("self"))
            self._meter.set("process_open_descriptors", self._process, value=len(os.listdir("/proc/self/fd")))


def resident_bytes(pid: str) -> float:
    """Raises OSError for a process that is gone."""
    return float(Path(f"/proc/{pid}/statm").read_text().split()[1]) * PAGE_BYTES


async def look_at_budgets(meter: Meter, budgets: Budgets, catalogue: Catalogue) -> None:
    """Those that many share. Nothing changes while the store cannot be read."""
    shared = [one for one in catalogue.budgets if one.principal is None]
    with suppress(AppError):
        states = await budgets.left_of(shared, catalogue.time_zone)
        have = [(budget.id, max(1, budget.most + state.added), state) for budget, _, state, _ in states]
        meter.set_family("budget_spent_ratio", {(name,): state.spent / most for name, most, state in have})
        meter.set_family("budget_reserved_ratio", {(name,): state.open / most for name, most, state in have})


async def sample_forever(
    meter: Meter,
    sampler: Sampler,
    budgets: Budgets,
    catalogue: Callable[[], Catalogue],
    is_closed: Callable[[], bool],
    *,
    first: bool,
    clock: Callable[[], float] = time.monotonic,
) -> None:
    """*first*: this worker looks at what is the same for all."""
    count, looked_at = 0, clock()
    while True:
        now = clock()
        if is_closed():
            meter.add("audit_closed_seconds_total", amount=now - looked_at)
        looked_at = now
        sampler.look_at_servers()
        if count % SLOW_SAMPLES == 0:
            sampler.look_at_process()
            if first:
                await look_at_budgets(meter, budgets, catalogue())
        count += 1
        await asyncio.sleep(SAMPLE_SECONDS)
