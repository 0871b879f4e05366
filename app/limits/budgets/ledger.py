"""The store on a thread of its own: questions of one moment share a transaction.

The event loop never blocks. What cannot be reserved in time is refused. What cannot be settled is
settled as soon as the store takes it; the log has it in any case.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import Any, TypeVar

from .errors import BudgetsUnavailable
from .store import BudgetStore, Outcome, Settle, Take
from .store_thread import Done, Job, StoreThread

T = TypeVar("T")
TIMEOUT_SECONDS = 2.0
CLOSE_SECONDS = 2.0
GATHER_SECONDS = 0.005
"""How long a settlement that nobody waits for may wait for a transaction to share."""


class BudgetLedger:
    """Of one event loop. Open for questions once `is_ready` is set, which a recovery does."""

    def __init__(self, store: BudgetStore, timeout_seconds: float = TIMEOUT_SECONDS) -> None:
        self._timeout = timeout_seconds
        self.is_ready = False
        """Whether the store is attached and holds what the log says."""
        self.open: dict[str, Take] = {}
        """The reservations of this process that have no end yet."""
        self.left: dict[str, bool] = {}
        """Those of this process whose records must be looked for in the log, and whether the server
        may have generated."""
        self.on_trouble: Callable[[str | None], None] = lambda why: None
        """Gets why the store cannot be used, once; None as soon as it can again."""
        self._gathered: list[Job] = []  # in this iteration of the event loop, and settlements of a moment
        self._is_handing_in = self._is_gathering = False
        self._waiting: dict[Job, None] = {}
        self._thread = StoreThread(store, self._on_done)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._trouble: str | None = None
        self._is_watching = False

    def start(self) -> None:
        """On the event loop that will use it."""
        self._loop = asyncio.get_running_loop()
        self._thread.start()

    async def stop(self) -> None:
        """What was handed in is settled, unless the disk hangs."""
        self._hand_in()
        self._thread.stop()
        await asyncio.to_thread(self._thread.join, CLOSE_SECONDS)

    async def take(self, step: Take) -> Outcome:
        """Raises BudgetsUnavailable: then nothing is reserved. A cancellation reserves nothing."""
        if not self.is_ready or self._hangs():
            raise self._refusal()
        done = self._future()
        self._submit(Job(done, time.monotonic(), step=step))
        self.open[step.key] = step
        try:
            outcome: Outcome = await done
        except BaseException:
            self.open.pop(step.key, None)
            done.cancel()
            self.settle_later(Settle(step.key, step.shares, (0,) * len(step.shares)))
            raise
        if outcome.lacking:
            del self.open[step.key]
        return outcome

    async def settle(self, step: Settle) -> Outcome | None:
        """None where the store cannot say: then it is settled as soon as that can be."""
        self.open.pop(step.key, None)
        done = self._future()
        self._submit(Job(done, time.monotonic(), step=step))
        try:
            outcome: Outcome = await asyncio.shield(done)
        except BudgetsUnavailable:
            return None
        return outcome

    def settle_later(self, step: Settle, on_alarm: Callable[[Outcome], None] | None = None) -> None:
        """In a moment, together with others. *on_alarm* gets the outcome if that has an alarm."""
        self.open.pop(step.key, None)
        self._gathered.append(Job(None, 0.0, step=step, on_alarm=on_alarm))
        if not self._is_gathering and self._loop is not None:
            self._is_gathering = True
            self._loop.call_later(GATHER_SECONDS, self._hand_in)

    def leave(self, keys: Iterable[str], *, may_have_generated: bool) -> None:
        """It is not known what the log holds of these reservations: somebody must look."""
        for key in keys:
            self.open.pop(key, None)
            self.left[key] = may_have_generated

    async def do(self, work: Callable[[BudgetStore], T]) -> T:
        """What *work* returns, on the thread. It may take long. Raises StoreFailed as well."""
        done = self._future()
        self._submit(Job(done, float("inf"), work=work))
        result: T = await asyncio.shield(done)
        return result

    # --- on the event loop -----------------------------------------------------------------------

    def _future(self) -> asyncio.Future[Any]:
        assert self._loop is not None
        return self._loop.create_future()

    def _submit(self, job: Job) -> None:
        assert self._loop is not None
        self._waiting[job] = None
        self._gathered.append(job)
        if not self._is_handing_in:
            self._is_handing_in = True
            self._loop.call_soon(self._hand_in)
        self._watch_later()

    def _hand_in(self) -> None:
        self._is_handing_in = self._is_gathering = False
        if self._gathered:
            self._thread.hand_in(self._gathered)
            self._gathered = []

    def _hangs(self) -> bool:
        """Whether the thread has had the oldest job for too long."""
        return bool(self._waiting) and time.monotonic() - next(iter(self._waiting)).since > self._timeout

    def _on_done(self, done: Done) -> None:
        """On the thread."""
        if self._loop is not None:
            with suppress(RuntimeError):  # the loop is closed: nobody waits
                self._loop.call_soon_threadsafe(self._resolve, *done)

    def _resolve(self, jobs: list[Job], trouble: str | None, is_replaced: bool) -> None:
        if is_replaced:
            self.is_ready = False
        if trouble is not None or any(job.step is not None for job in jobs):
            self.report(trouble)
        for job in jobs:
            self._waiting.pop(job, None)
            if job.on_alarm is not None and job.error is None and job.result.alarms:
                job.on_alarm(job.result)
            if job.done is None or job.done.done():
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
            if now - job.since >= self._timeout and job.done is not None and not job.done.done():
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
