"""The store on a thread of its own: questions of one moment share a transaction.

The event loop never blocks. What cannot be reserved in time is refused. What cannot be settled is
settled as soon as the store takes it; the log has it in any case.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from typing import Any, TypeVar

from .errors import BudgetsUnavailable
from .handed_out import HandedOut
from .reservations import Share
from .store import BudgetStore, Outcome, PotState, Settle, StoreFailed, Take
from .store_thread import Done, Job, StoreThread
from .waiting import Waiting

T = TypeVar("T")
TIMEOUT_SECONDS = 2.0
CLOSE_SECONDS = 2.0
GATHER_SECONDS = 0.1
"""How long what nobody waits for may wait for a transaction to share."""
RETRY_SECONDS = 1.0
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
        """The reservations of this process that the store has, and that have no end yet."""
        self.left: dict[str, bool] = {}
        """Those of this process whose records must be looked for in the log, and whether the server
        may have generated."""
        self.on_trouble: Callable[[str | None], None] = lambda why: None
        """Gets why the store cannot be used, once; None as soon as it can again."""
        self.on_alarm: Callable[[Share, PotState], None] = lambda share, state: None
        """A pot has just spent most of what it has."""
        self._gathered: list[Job] = []  # until the store has done what it was handed last
        self._is_handing_in = self._is_with_store = self._owes = False
        self._timer: asyncio.TimerHandle | None = None  # it hands in what nobody waits for
        self._thread = StoreThread(store, self._on_done)
        self._waiting = Waiting(timeout_seconds, self._refuse, lambda: self._thread.is_at_work)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._trouble: str | None = None
        self.needs_attaching = asyncio.Event()
        """The store was replaced."""
        self._is_decided = asyncio.Event()  # whether the store can be attached

    def start(self) -> None:
        """On the event loop that will use it."""
        self._loop = asyncio.get_running_loop()
        self._thread.start()

    async def stop(self) -> None:
        """What was handed in is settled, unless the disk hangs."""
        with suppress(TimeoutError, StoreFailed):
            async with asyncio.timeout(CLOSE_SECONDS / 2):
                await self.do(lambda store: None)  # after all that was handed in
        self.is_ready, is_told = False, not self._is_with_store
        handed_out, self._handed_out = self._handed_out, None
        self._thread.hand_in(self._gathered, handed_out.offer(is_last=True) if handed_out and is_told else None)
        self._thread.stop()
        are_told = await asyncio.to_thread(self._thread.join, CLOSE_SECONDS / 2) and is_told
        if handed_out:
            handed_out.close(are_told=are_told)

    def open_for(self, owner: int) -> None:
        """The store holds what the log says, and all that this process has in progress."""
        if self._handed_out:
            self._handed_out.start(owner)
        self.is_ready = True
        self.needs_attaching.clear()
        self.report(None)
        self._hand_in()

    def unsettled(self, *, is_other_build: bool) -> list[Take]:
        """What this process has reserved, as long as the store does not know what became of it.

        The same build may have heard of an end whose outcome did not arrive here.
        """
        ended = [job.taken for job in self._gathered if job.taken is not None]
        return [*self.open.values(), *(take for take in ended if is_other_build or take.is_certain)]

    async def take(self, step: Take) -> Outcome:
        """Raises BudgetsUnavailable: then nothing is reserved. A cancellation reserves nothing."""
        if not self.is_ready:  # maybe it is being attached
            with suppress(TimeoutError):
                async with asyncio.timeout(self._timeout):
                    await self._is_decided.wait()
        if not self.is_ready or self._waiting.hangs:
            raise BudgetsUnavailable(retry_after=1)
        if self._handed_out and (states := self._handed_out.take(step)):
            return Outcome(states)
        for _ in range(HELD_UP_TRIES):
            outcome = await self._reserve(step)
            if not outcome.is_held_up:
                break
            await asyncio.sleep(HELD_UP_SECONDS)
        return outcome

    async def _reserve(self, step: Take) -> Outcome:
        done = asyncio.get_running_loop().create_future()
        self._submit(Job(done, step=step), is_urgent=True)
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
        done = asyncio.get_running_loop().create_future()
        states = self._handed_out.states(step) if self._handed_out and self._handed_out.settle(step) else None
        self._submit(self._settlement(step, done) if states is None else Job(done, work=lambda store: None), is_urgent=True)
        try:
            outcome: Outcome = await asyncio.shield(done)
        except BudgetsUnavailable:
            return None
        return outcome if states is None else Outcome(states)

    def settle_later(self, step: Settle) -> None:
        """In a moment, together with others."""
        if self._handed_out and self._handed_out.settle(step):
            self._hand_in_later(GATHER_SECONDS)
        else:
            self._gather(self._settlement(step))

    def leave(self, key: str, *, may_have_generated: bool) -> None:
        """It is not known what the log holds of this reservation: somebody must look."""
        if self._handed_out and (take := self._handed_out.leave(key)):
            self.open[key] = take
            self._gather(Job(None, step=take))
        self.left[key] = may_have_generated

    async def do(self, work: Callable[[BudgetStore], T]) -> T:
        """What *work* returns, on the thread. It may take long. Raises StoreFailed as well."""
        done = asyncio.get_running_loop().create_future()
        self._submit(Job(done, work=work), is_urgent=False)
        result: T = await asyncio.shield(done)
        return result

    # --- on the event loop -----------------------------------------------------------------------

    def _settlement(self, step: Settle, done: asyncio.Future[Any] | None = None) -> Job:
        return Job(done, step=step, taken=self.open.pop(step.key, None))

    def _submit(self, job: Job, *, is_urgent: bool) -> None:
        """*is_urgent*: somebody waits, and not for ever."""
        if is_urgent:
            self._waiting.add(job)
        self._gathered.append(job)
        if not self._is_handing_in:
            self._is_handing_in = True
            asyncio.get_running_loop().call_soon(self._hand_in)

    def _gather(self, job: Job) -> None:
        self._gathered.append(job)
        self._hand_in_later(GATHER_SECONDS)

    def _hand_in_later(self, seconds: float) -> None:
        if self._timer is None and self._loop is not None:
            self._timer = self._loop.call_later(seconds, self._hand_in)

    def _hand_in(self) -> None:
        """Unless the store still has something: then as soon as that is done."""
        self._is_handing_in = False
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._is_with_store:
            return
        jobs = self._gathered
        if not self.is_ready:  # what is settled waits until it is there
            jobs = [job for job in jobs if job.work is not None]
        has_news = self.is_ready and self._handed_out is not None and self._handed_out.has_news
        if not jobs and not has_news and not (self.is_ready and self._owes):
            return
        self._gathered = [] if self.is_ready else [job for job in self._gathered if job.work is None]
        is_told = has_news or any(job.step is not None for job in jobs)
        self._is_with_store = True
        self._thread.hand_in(jobs, self._handed_out.offer() if is_told and self._handed_out else None)

    def _on_done(self, done: Done) -> None:
        """On the thread."""
        if self._loop is not None:
            with suppress(RuntimeError):  # the loop is closed: nobody waits
                self._loop.call_soon_threadsafe(self._resolve, done)

    def _resolve(self, done: Done) -> None:
        self._is_with_store, self._owes = False, done.owes
        if self._handed_out and done.granted is not None:
            for share, state in self._handed_out.granted(done.granted):
                self.on_alarm(share, state)
        if done.trouble is not None or done.granted is not None or any(job.step is not None for job in done.jobs):
            self.report(done.trouble)
        if done.is_replaced:
            self._close(done.unsettled)
        self._tell(done.jobs)
        if any(job.done is not None for job in self._gathered):
            self._hand_in()
        elif done.owes or self._gathered or (self._handed_out and self._handed_out.has_news):
            self._hand_in_later(RETRY_SECONDS if done.owes else GATHER_SECONDS)

    def _close(self, unsettled: list[Job]) -> None:
        """All that the store does not know of is claimed of the next one, and then settled."""
        self.is_ready = False
        self._is_decided.clear()
        self.needs_attaching.set()
        self._gathered = [job for job in (*unsettled, *self._gathered) if not (job.done is None and isinstance(job.step, Take))]
        if self._handed_out:
            opened, ended = self._handed_out.end()
            self.open.update({take.key: take for take in opened})
            self._gathered += [Job(None, step=step, taken=take) for take, step in ended]

    def _tell(self, jobs: list[Job]) -> None:
        for job in jobs:
            self._waiting.remove(job)
            if isinstance(job.step, Settle) and job.error is None:
                for place in job.result.alarms:
                    self.on_alarm(job.step.shares[place], job.result.states[place])
            job.answer(BudgetsUnavailable(retry_after=1) if job.error is not None and job.work is None else job.error)

    def _refuse(self, job: Job) -> None:
        self.report("it did not answer in time")
        job.answer(BudgetsUnavailable(retry_after=1))

    def report(self, trouble: str | None) -> None:
        """Why the store cannot be used; None: it can. Who waits for it to be attached is told."""
        self._is_decided.set()
        if (trouble is None) != (self._trouble is None):
            self.on_trouble(trouble)
        self._trouble = trouble
