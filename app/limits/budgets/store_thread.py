"""The thread that the store works on: what comes together shares a transaction."""

from __future__ import annotations

import asyncio
import logging
import queue
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple, cast

from .advances import AdvancingStore, Granted, Offer
from .store import BudgetStore, Settle, Step, StoreFailed, StoreReplaced, Take

LOG = logging.getLogger("app.limits")


@dataclass(slots=True, eq=False)
class Job:
    """*work* of a job by itself; else its *step* shares a transaction with others."""

    done: asyncio.Future[Any] | None
    """None: nobody waits."""
    step: Step | None = None
    taken: Take | None = None
    """What *step* settles."""
    work: Callable[[BudgetStore], Any] | None = None
    result: Any = None
    error: Exception | None = None

    def answer(self, error: Exception | None) -> None:
        """On the event loop: who waits for it gets *error*, or the result."""
        if self.done is None or self.done.done():
            return
        if error is None:
            self.done.set_result(self.result)
        else:
            self.done.set_exception(error)
            self.done.exception()  # maybe nobody waits


class Done(NamedTuple):
    """What became of *jobs*: each has its result or its error."""

    jobs: list[Job]
    trouble: str | None
    """Why the store cannot be used."""
    is_replaced: bool
    """Whether it must be attached again. *unsettled* wait for that."""
    unsettled: list[Job]
    granted: list[Granted] | None
    """None: the store was told of nothing that was handed out."""
    owes: bool
    """Whether the next transaction is to repeat what failed."""


class StoreThread:
    """Owns the store once it is started. What fails and cannot be undone is owed."""

    def __init__(self, store: BudgetStore, on_done: Callable[[Done], None]) -> None:
        """*on_done* is called on the thread."""
        self._store, self._on_done = store, on_done
        self._inbox: queue.SimpleQueue[tuple[list[Job], Offer | None] | None] = queue.SimpleQueue()
        self._owed: list[Job] = []
        self.is_at_work = False
        """Whether it does the *work* of a job, which may take long."""
        self._thread = threading.Thread(target=self._run, name="budgets", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def hand_in(self, jobs: list[Job], offer: Offer | None = None) -> None:
        """One transaction, then the work of each. *offer*: to a store that grants advances."""
        self._inbox.put((jobs, offer))

    def stop(self) -> None:
        """After what was handed in."""
        self._inbox.put(None)

    def join(self, seconds: float) -> bool:
        """Whether it has ended, and the store has all."""
        self._thread.join(seconds)
        return not self._thread.is_alive() and not self._owed

    def _run(self) -> None:
        while True:
            handed_in = self._inbox.get()
            if handed_in is None:
                break
            self._work(*handed_in)
        self._store.close()

    def _work(self, jobs: list[Job], offer: Offer | None) -> None:
        steps, failures = [job for job in jobs if job.step is not None], list[StoreFailed]()
        granted: list[Granted] | None = None
        if steps or self._owed or offer is not None:
            try:
                granted = self._apply(steps, offer)
            except Exception as error:  # noqa: BLE001 - if it ended the thread, every question would wait; it is told as trouble
                failures.append(self._fail(steps, error))
        for job in jobs:
            if job.work is not None:
                self.is_at_work = True
                try:
                    job.result = job.work(self._store)
                except Exception as error:  # noqa: BLE001 - as above; who waits for the work gets it as a StoreFailed
                    failures.append(self._fail([job], error))
                self.is_at_work = False
        is_replaced = any(isinstance(error, StoreReplaced) for error in failures)
        unsettled: list[Job] = []
        if is_replaced:
            unsettled, self._owed = self._owed, []
        trouble = str(failures[-1]) if failures else None
        self._on_done(Done(jobs, trouble, is_replaced, unsettled, granted, bool(self._owed)))

    def _apply(self, jobs: list[Job], offer: Offer | None) -> list[Granted] | None:
        owed = list(self._owed)
        steps = [job.step for job in (*owed, *jobs) if job.step is not None]
        if offer is None:
            outcomes, granted = self._store.apply(steps), None
        else:
            outcomes, granted = cast(AdvancingStore, self._store).exchange(steps, offer)
        self._owed.clear()
        for job, outcome in zip((*owed, *jobs), outcomes, strict=True):
            job.result = outcome
        return granted

    def _fail(self, jobs: list[Job], error: Exception) -> StoreFailed:
        if not isinstance(error, StoreFailed):
            LOG.error("The budgets' store failed unexpectedly.", exc_info=error)
            error = StoreFailed("it failed unexpectedly: see the service's own output")
        for job in jobs:
            job.error = error
            if isinstance(job.step, Settle) or (isinstance(job.step, Take) and job.step.is_certain):
                self._owed.append(job)
        return error
