"""The thread that the store works on: what comes together shares a transaction."""

from __future__ import annotations

import asyncio
import logging
import queue
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, NamedTuple

from .store import BudgetStore, Outcome, Settle, Step, StoreFailed, StoreReplaced

LOG = logging.getLogger("app.limits")
RETRY_SECONDS = 1.0


@dataclass(slots=True, eq=False)
class Job:
    """*work* of a job by itself; else its *step* shares a transaction with others."""

    done: asyncio.Future[Any] | None
    """None: nobody waits."""
    since: float
    step: Step | None = None
    work: Callable[[BudgetStore], Any] | None = None
    on_alarm: Callable[[Outcome], None] | None = None
    result: Any = None
    error: Exception | None = None


class Done(NamedTuple):
    """What became of *jobs*: each has its result or its error."""

    jobs: list[Job]
    trouble: str | None
    """Why the store cannot be used."""
    is_replaced: bool
    """Whether it must be attached again."""


class StoreThread:
    """Owns the store once it is started. A settlement that fails is owed, and tried again."""

    def __init__(self, store: BudgetStore, on_done: Callable[[Done], None]) -> None:
        """*on_done* is called on the thread, unless nobody waits and there is no news."""
        self._store, self._on_done = store, on_done
        self._inbox: queue.SimpleQueue[list[Job] | None] = queue.SimpleQueue()
        self._owed: list[Settle] = []
        self._is_over = self._is_troubled = False
        self._thread = threading.Thread(target=self._run, name="budgets", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def hand_in(self, jobs: list[Job]) -> None:
        self._inbox.put(jobs)

    def stop(self) -> None:
        """After what was handed in."""
        self._inbox.put(None)

    def join(self, seconds: float) -> None:
        self._thread.join(seconds)

    def _run(self) -> None:
        while not self._is_over:
            self._work(self._next_jobs())
        self._store.close()

    def _next_jobs(self) -> list[Job]:
        """All that wait; maybe none, where settlements are owed that are to be tried again."""
        jobs: list[Job] = []
        with suppress(queue.Empty):
            handed_in = self._inbox.get(timeout=RETRY_SECONDS if self._owed else None)
            while handed_in is not None:
                jobs += handed_in
                handed_in = self._inbox.get_nowait()
            self._is_over = True
        return jobs

    def _work(self, jobs: list[Job]) -> None:
        if not jobs and not self._owed:
            return
        trouble: str | None = None
        is_replaced = False
        for group in _groups(jobs):
            try:
                if group and group[0].work is not None:
                    group[0].result = group[0].work(self._store)
                    continue
                self._apply(group)
            except StoreFailed as error:
                trouble, is_replaced = str(error), is_replaced or isinstance(error, StoreReplaced)
                self._fail(group, error)
            except Exception as error:  # if it ended the thread, every question would wait
                LOG.exception("The budgets' store failed unexpectedly.")
                trouble = "it failed unexpectedly: see the service's own output"
                self._fail(group, error)
        is_news, self._is_troubled = trouble is not None or self._is_troubled, trouble is not None
        if is_news or any(map(_is_awaited, jobs)):
            self._on_done(Done(jobs, trouble, is_replaced))

    def _apply(self, group: list[Job]) -> None:
        owed = list(self._owed)
        outcomes = self._store.apply([*owed, *(job.step for job in group if job.step is not None)])
        self._owed.clear()
        for job, outcome in zip(group, outcomes[len(owed) :], strict=True):
            job.result = outcome

    def _fail(self, group: list[Job], error: Exception) -> None:
        for job in group:
            job.error = error
            if isinstance(job.step, Settle):
                self._owed.append(job.step)


def _is_awaited(job: Job) -> bool:
    return job.done is not None or (isinstance(job.result, Outcome) and bool(job.result.alarms))


def _groups(jobs: list[Job]) -> list[list[Job]]:
    """Neighbours that share a transaction. There is one at least, for what is owed."""
    groups: list[list[Job]] = [[]]
    for job in jobs:
        if job.work is not None:
            groups += [[job], []]
        else:
            groups[-1].append(job)
    return [group for group in groups if group] or [[]]
