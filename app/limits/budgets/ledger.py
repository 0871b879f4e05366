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
from .handed_out import SPAN_SECONDS, HandedOut
from .store import BudgetStore, Outcome, Settle, Take
from .store_thread import Done, Job, StoreThread

T = TypeVar("T")
TIMEOUT_SECONDS = 2.0
CLOSE_SECONDS = 2.0
GATHER_SECONDS = 0.05
"""How long what nobody waits for may wait for a transaction to share."""
HELD_UP_SECONDS, HELD_UP_TRIES = 0.05, 10
"""Processes give up advances that they do not need in less than this."""


class BudgetLedger:
    """Of one event loop. Open for questions once `is_ready` is set, which a recovery does."""

    def __init__(self, store: BudgetStore, timeout_seconds: float = TIMEOUT_SECONDS, handed_out: HandedOut | None = None) -> None:
        """*handed_out*: for a store that grants advances, and only for that."""
        self._timeout, self._handed_out = timeout_seconds, handed_out
        self.is_ready = False
        """Whether the store is attached and holds what the log says."""
        self.open: dict[str, Take] = {}
        """The reservations of this process that have no end yet."""
        self.left: dict[str, bool] = {}
        """Those of this process whose records must be looked for in the log, and whether the server
        may have generated."""
        self.on_trouble: Callable[[str | None], None] = lambda why: None
        """Gets why the store cannot be used, once; None as soon as it can again."""
        self._gathered: list[Job] = []  # until the store has done what it was handed last
        self._is_handing_in = self._is_gathering = self._is_with_store = False
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
        self.is_ready = False
        handed_out, self._handed_out = self._handed_out, None
        self._thread.hand_in(self._gathered, handed_out.last_offer() if handed_out else None)
        self._thread.stop()
        are_told = await asyncio.to_thread(self._thread.join, CLOSE_SECONDS)
        if handed_out:
            handed_out.close(are_told=are_told)

    def open_for(self, owner: int) -> None:
        """The store holds what the log says, and all that this process has in progress."""
        if self._handed_out:
            self._handed_out.start(owner)
        for job in self._gathered:
            job.since = max(job.since, time.monotonic())
        self.is_ready = True
        self.report(None)
        self._hand_in()

    def unsettled(self) -> list[Take]:
        """What this process has reserved, as long as the store does not know what became of it."""
        return [*self.open.values(), *(job.taken for job in list(self._gathered) if job.taken is not None)]

    async def take(self, step: Take) -> Outcome:
        """Raises BudgetsUnavailable: then nothing is reserved. A cancellation reserves nothing."""
        if not self.is_ready or self._hangs():
            raise self._refusal()
        if self._handed_out and (found := self._handed_out.take(step)):
            self.open[step.key], states = found
            self._gather(Job(None, 0.0, step=self.open[step.key]))
            return Outcome(states)
        for _ in range(HELD_UP_TRIES):
            outcome = await self._reserve(step)
            if not outcome.is_held_up:
                break
            await asyncio.sleep(HELD_UP_SECONDS)
        return outcome

    async def _reserve(self, step: Take) -> Outcome:
        done = self._future()
        self._submit(Job(done, time.monotonic(), step=step))
        self.open[step.key] = step
        try:
            outcome: Outcome = await done
        except BaseException:
            done.cancel()
            self.settle_later(Settle(step.key, step.shares, (0,) * len(step.shares)))
            raise
        if outcome.lacking:
            del self.open[step.key]
        return outcome

    async def settle(self, step: Settle) -> Outcome | None:
        """None where the store cannot say: then it is settled as soon as that can be."""
        if not self.is_ready:
            self.settle_later(step)
            return None
        done = self._future()
        self._submit(self._settlement(step, done))
        try:
            outcome: Outcome = await asyncio.shield(done)
        except BudgetsUnavailable:
            return None
        return outcome

    def settle_later(self, step: Settle, on_alarm: Callable[[Outcome], None] | None = None) -> None:
        """In a moment, together with others. *on_alarm* gets the outcome if that has an alarm."""
        self._gather(self._settlement(step, on_alarm=on_alarm))

    def leave(self, keys: Iterable[str], *, may_have_generated: bool) -> None:
        """It is not known what the log holds of these reservations: somebody must look."""
        self.left.update(dict.fromkeys(keys, may_have_generated))

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

    def _settlement(
        self, step: Settle, done: asyncio.Future[Any] | None = None, on_alarm: Callable[[Outcome], None] | None = None
    ) -> Job:
        if self._handed_out:
            self._handed_out.settled(step)
        return Job(done, time.monotonic(), step=step, taken=self.open.pop(step.key, None), on_alarm=on_alarm)

    def _submit(self, job: Job) -> None:
        assert self._loop is not None
        self._waiting[job] = None
        self._gathered.append(job)
        if not self._is_handing_in:
            self._is_handing_in = True
            self._loop.call_soon(self._hand_in)
        self._watch_later()

    def _gather(self, job: Job) -> None:
        self._gathered.append(job)
        self._hand_in_later(GATHER_SECONDS)

    def _hand_in_later(self, seconds: float) -> None:
        if not self._is_gathering and self._loop is not None:
            self._is_gathering = True
            self._loop.call_later(seconds, self._hand_in)

    def _hand_in(self) -> None:
        """Unless the store still has something: then as soon as that is done."""
        self._is_handing_in = self._is_gathering = False
        if self._is_with_store:
            return
        jobs = self._gathered
        if not self.is_ready:  # what is settled waits until it is there
            jobs = [job for job in jobs if job.work is not None]
        holds = self.is_ready and self._handed_out is not None and self._handed_out.is_holding
        if not jobs and not holds:
            return
        self._gathered = [] if self.is_ready else [job for job in self._gathered if job.work is None]
        has_steps = holds or any(job.step is not None for job in jobs)
        self._is_with_store = True
        self._thread.hand_in(jobs, self._handed_out.offer() if has_steps and self._handed_out else None)

    def _hangs(self) -> bool:
        """Whether the thread has had the oldest job for too long."""
        return bool(self._waiting) and time.monotonic() - next(iter(self._waiting)).since > self._timeout

    def _on_done(self, done: Done) -> None:
        """On the thread."""
        if self._loop is not None:
            with suppress(RuntimeError):  # the loop is closed: nobody waits
                self._loop.call_soon_threadsafe(self._resolve, done)

    def _resolve(self, done: Done) -> None:
        self._is_with_store = False
        if done.is_replaced:
            self.is_ready = False
            self._gathered = [job for job in (*done.unsettled, *self._gathered) if not _is_handed_out(job)]
        if self._handed_out and done.granted is not None:
            self._handed_out.granted(done.granted)
        if done.trouble is not None or any(job.step is not None for job in done.jobs):
            self.report(done.trouble)
        self._tell(done.jobs)
        if any(job.done is not None for job in self._gathered):
            self._hand_in()
        elif self._gathered or (self._handed_out and self._handed_out.is_holding):
            self._hand_in_later(GATHER_SECONDS if self._gathered else SPAN_SECONDS)

    def _tell(self, jobs: list[Job]) -> None:
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


def _is_handed_out(job: Job) -> bool:
    return isinstance(job.step, Take) and job.step.number > 0
