"""The store on a thread of its own: questions of one moment share a transaction.

The event loop never blocks. What cannot be reserved in time is refused. What cannot be settled is
settled as soon as the store takes it; the log has it in any case.
"""

from __future__ import annotations

import asyncio
import logging
import queue
import threading
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, TypeVar

from .errors import BudgetsUnavailable
from .store import BudgetStore, Outcome, Settle, Step, StoreFailed, StoreReplaced, Take

LOG = logging.getLogger("app.limits")
T = TypeVar("T")
TIMEOUT_SECONDS = 2.0
CLOSE_SECONDS = 2.0
MAX_BATCH = 500


@dataclass(slots=True, eq=False)
class _Job:
    """*work* of a job by itself; else its *step* shares a transaction with others."""

    done: asyncio.Future[Any]
    since: float
    step: Step | None = None
    work: Callable[[BudgetStore], Any] | None = None
    result: Any = None
    error: Exception | None = None


class BudgetLedger:
    """Of one event loop. Open for questions once `is_ready` is set, which a recovery does."""

    def __init__(self, store: BudgetStore, timeout_seconds: float = TIMEOUT_SECONDS) -> None:
        self._store, self._timeout = store, timeout_seconds
        self.is_ready = False
        """Whether the store is attached and holds what the log says."""
        self.open: dict[str, Take] = {}
        """The reservations of this process that have no end yet."""
        self.left: dict[str, bool] = {}
        """Those of this process whose records must be looked for in the log, and whether the server
        may have generated."""
        self.on_trouble: Callable[[str | None], None] = lambda why: None
        """Gets why the store cannot be used, once; None as soon as it can again."""
        self._inbox: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        self._waiting: dict[_Job, None] = {}
        self._owed: list[Settle] = []  # of the thread: settled in the log, and not in the store
        self._thread: threading.Thread | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._trouble: str | None = None
        self._is_watching = False

    def start(self) -> None:
        """On the event loop that will use it."""
        self._loop = asyncio.get_running_loop()
        self._thread = threading.Thread(target=self._run, name="budgets", daemon=True)
        self._thread.start()

    async def stop(self) -> None:
        """What was handed in is settled, unless the disk hangs."""
        if self._thread is not None:
            self._inbox.put(None)
            await asyncio.to_thread(self._thread.join, CLOSE_SECONDS)

    async def take(self, step: Take) -> Outcome:
        """Raises BudgetsUnavailable: then nothing is reserved. A cancellation reserves nothing."""
        if not self.is_ready or self._hangs():
            raise self._refusal()
        job = self._submit(_Job(self._future(), time.monotonic(), step=step))
        self.open[step.key] = step
        try:
            outcome: Outcome = await job.done
        except BaseException:
            self.open.pop(step.key, None)
            self._undo(job, step)
            raise
        if outcome.lacking:
            del self.open[step.key]
        return outcome

    async def settle(self, step: Settle) -> Outcome | None:
        """None where the store cannot say: then it is settled as soon as that can be."""
        self.open.pop(step.key, None)
        try:
            outcome: Outcome = await asyncio.shield(self._submit(_Job(self._future(), time.monotonic(), step=step)).done)
        except BudgetsUnavailable:
            return None
        return outcome

    def leave(self, keys: Iterable[str], *, may_have_generated: bool) -> None:
        """It is not known what the log holds of these reservations: somebody must look."""
        for key in keys:
            self.open.pop(key, None)
            self.left[key] = may_have_generated

    async def do(self, work: Callable[[BudgetStore], T]) -> T:
        """What *work* returns, on the thread. It may take long. Raises StoreFailed as well."""
        result: T = await asyncio.shield(self._submit(_Job(self._future(), float("inf"), work=work)).done)
        return result

    # --- on the event loop -----------------------------------------------------------------------

    def _future(self) -> asyncio.Future[Any]:
        assert self._loop is not None
        return self._loop.create_future()

    def _submit(self, job: _Job) -> _Job:
        self._waiting[job] = None
        self._inbox.put(job)
        self._watch_later()
        return job

    def _hangs(self) -> bool:
        """Whether the thread has had the oldest job for too long."""
        return bool(self._waiting) and time.monotonic() - next(iter(self._waiting)).since > self._timeout

    def _undo(self, job: _Job, step: Take) -> None:
        """Nobody waits for *job* any more: what it reserves, or has reserved, is given back."""
        nothing = Settle(step.key, step.shares, (0,) * len(step.shares))
        self._inbox.put(_Job(self._future(), time.monotonic(), step=nothing))
        job.done.cancel()

    def _resolve(self, jobs: list[_Job], trouble: str | None, *, is_replaced: bool) -> None:
        if is_replaced:
            self.is_ready = False
        if trouble is not None or any(job.step is not None for job in jobs):
            self.report(trouble)
        for job in jobs:
            self._waiting.pop(job, None)
            if job.done.done():
                continue
            if job.error is None:
                job.done.set_result(job.result)
            else:
                job.done.set_exception(self._refusal() if job.work is None else job.error)
                job.done.exception()  # maybe nobody waits

    def _watch_later(self) -> None:
        if not self._is_watching and self._waiting and self._loop is not None:
            self._is_watching = True
            self._loop.call_later(self._timeout / 4, self._watch)

    def _watch(self) -> None:
        """Refuse what the thread has had for too long."""
        self._is_watching = False
        now = time.monotonic()
        for job in list(self._waiting):
            if now - job.since >= self._timeout and not job.done.done():
                self.report("it did not answer in time")
                job.done.set_exception(self._refusal())
                job.done.exception()
        self._watch_later()

    def report(self, trouble: str | None) -> None:
        """Why the store cannot be used; None: it can."""
        if (trouble is None) != (self._trouble is None):
            self.on_trouble(trouble)
        self._trouble = trouble

    def _refusal(self) -> BudgetsUnavailable:
        return BudgetsUnavailable(retry_after=1)

    # --- on the thread ---------------------------------------------------------------------------

    def _run(self) -> None:
        is_over = False
        while not is_over:
            jobs = self._next_jobs()
            is_over = None in jobs
            self._work([job for job in jobs if job is not None])
        self._store.close()

    def _next_jobs(self) -> list[_Job | None]:
        """All that wait; one at least, unless settlements are owed: these are tried again."""
        jobs: list[_Job | None] = []
        with suppress(queue.Empty):
            jobs.append(self._inbox.get(timeout=1.0 if self._owed else None))
            while len(jobs) < MAX_BATCH and jobs[-1] is not None:
                jobs.append(self._inbox.get_nowait())
        return jobs

    def _work(self, jobs: list[_Job]) -> None:
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
        if self._loop is not None:
            with suppress(RuntimeError):  # the loop is closed: nobody waits
                self._loop.call_soon_threadsafe(lambda: self._resolve(jobs, trouble, is_replaced=is_replaced))

    def _apply(self, group: list[_Job]) -> None:
        owed = list(self._owed)
        outcomes = self._store.apply([*owed, *(job.step for job in group if job.step is not None)])
        self._owed.clear()
        for job, outcome in zip(group, outcomes[len(owed) :], strict=True):
            job.result = outcome

    def _fail(self, group: list[_Job], error: Exception) -> None:
        for job in group:
            job.error = error
            if isinstance(job.step, Settle):
                self._owed.append(job.step)


def _groups(jobs: list[_Job]) -> list[list[_Job]]:
    """Neighbours that share a transaction. There is one at least, for what is owed."""
    groups: list[list[_Job]] = [[]]
    for job in jobs:
        if job.work is not None:
            groups += [[job], []]
        else:
            groups[-1].append(job)
    return [group for group in groups if group] or [[]]
