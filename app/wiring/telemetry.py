"""What one worker shows of itself to operators. Nothing of it is imported unless it is wanted."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from typing import Any

from ..assistant.assistant import SecureAIAssistant
from ..assistant.observer import Observer
from ..audit.log import AuditLog
from ..audit.storage.meter import StorageMeter
from ..catalogue.models import Catalogue
from ..limits.budgets.budgets import Budgets
from ..limits.budgets.reservations import Share
from .tracing import is_tracing, wants_texts

OF_PRINCIPALS = "principal"
CLOSE_SECONDS = 3.0


class Telemetry:
    """Of one worker. By default nothing is observed, and nothing costs anything."""

    def __init__(self, board: object | None = None, worker: int = 0, node: str = "") -> None:
        """*board*: a Board, where this worker counts what the metrics show."""
        self.storage: StorageMeter | None = None
        self.on_refusal: Callable[[str], None] | None = None
        self._worker = worker
        self._meter: Any = None
        self._provider: Any = None
        if is_tracing():
            from ..telemetry.tracing import open_provider  # late: only where it is wanted

            self._provider = open_provider(node, worker)
        if board is not None:
            self._count_on(board)

    def _count_on(self, board: object) -> None:
        from ..telemetry.metrics.board import Board, Meter  # late: only where it is wanted
        from ..telemetry.metrics.questions import LogMetrics  # late: as above

        assert isinstance(board, Board)
        self._meter = meter = Meter(board.pages[self._worker])
        self.storage = LogMetrics(meter)
        self.on_refusal = lambda code: meter.add("refusals_total", code)
        meter.add("budgets_nearly_spent_total", OF_PRINCIPALS, amount=0.0)  # else its first one is no increase
        meter.add("audit_closed_seconds_total", amount=0.0)  # as above

    def observer(self, catalogue: Callable[[], Catalogue]) -> Observer | None:
        """*catalogue*: the policy in force."""
        observers = list[Observer]()
        if self._meter is not None:
            from ..telemetry.metrics.questions import QuestionMetrics  # late: only where it is wanted

            observers.append(QuestionMetrics(self._meter, catalogue))
        if self._provider is not None:
            from ..telemetry.tracing import Tracing  # late: only where it is wanted

            observers.append(Tracing(self._provider, with_texts=wants_texts()))
        if len(observers) < 2:
            return observers[0] if observers else None
        from ..telemetry.observers import Observers  # late: only where it is wanted

        return Observers(observers)

    async def aclose(self) -> None:
        """Send the spans that wait, for a few seconds at most."""
        if self._provider is not None:
            # A daemon: who does not take the spans must not keep the process from ending.
            closing = threading.Thread(target=self._provider.shutdown, name="spans", daemon=True)
            closing.start()
            await asyncio.to_thread(closing.join, CLOSE_SECONDS)

    def on_budget_alarm(self, share: Share) -> None:
        if self._meter is not None:
            budget = share.pot.budget
            self._meter.add("budgets_nearly_spent_total", OF_PRINCIPALS if share.is_own else budget)

    async def sample_forever(self, assistant: SecureAIAssistant, budgets: Budgets, audit: AuditLog) -> None:
        """Runs until cancelled."""
        if self._meter is None:
            await asyncio.Event().wait()
            return
        from ..telemetry.metrics.sampling import Sampler, sample_forever  # late: only where it is wanted

        sampler = Sampler(self._meter, f"worker {self._worker + 1}", lambda: assistant.v1_requests.upstreams)
        await sample_forever(
            self._meter,
            sampler,
            budgets,
            lambda: assistant.v1_requests.catalogue,
            lambda: audit.closed_because is not None,
            first=self._worker == 0,
        )
