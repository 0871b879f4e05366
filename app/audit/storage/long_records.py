"""Records too long for a line: shortened off the event loop, and what is taken out of them kept first if it is to be kept."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable
from contextlib import suppress

from ...errors import AppError, AuditUnavailable, LongTextUnavailable
from ..format.record import Draft, fitting
from .group_commit import PROBE_SECONDS
from .long_texts import LongTexts

LOG = logging.getLogger("app.audit")
AT_ONCE = 4
"""Threads, on a hung disk too: who comes later waits for one of them."""


class LongRecords:
    """Lives on the event loop that records."""

    def __init__(self, texts: LongTexts | None, deadline_seconds: float, on_change: Callable[[str, str], None]) -> None:
        self._texts, self._on_change = texts, on_change
        self._deadline = None if texts is None else deadline_seconds  # without a disk there is nothing to hang
        self._turns = asyncio.Semaphore(AT_ONCE)
        self._trouble: str | None = None

    async def fit(self, record: Draft) -> Draft:
        """The record that fits into a line; if texts are kept, what it lacks is durable. Raises LongTextUnavailable.

        Who goes away meanwhile, or is refused, may leave texts that no record names.
        """
        try:
            async with asyncio.timeout(self._deadline):
                await self._turns.acquire()
                done: asyncio.Future[Draft] = asyncio.get_running_loop().create_future()
                self._start(record, done)
                fitted = await done
        except TimeoutError:
            self._tell("The disk did not take a long text in time.")
        except AppError as error:
            self._tell(error.detail)
        else:
            self._tell(None)
            return fitted
        raise LongTextUnavailable(retry_after=2 * PROBE_SECONDS)

    def _start(self, record: Draft, done: asyncio.Future[Draft]) -> None:
        """A thread that nobody waits for at the end: an executor's would keep the process from ending while a disk hangs."""
        try:
            threading.Thread(target=self._work, args=(record, done), name="long-record", daemon=True).start()
        except RuntimeError as error:  # the system has no thread for us
            self._turns.release()
            raise AuditUnavailable("There is no thread to keep a long text with.") from error

    def _work(self, record: Draft, done: asyncio.Future[Draft]) -> None:
        outcome: Draft | AppError
        try:
            outcome, texts = fitting(record)
            if self._texts is not None:
                self._texts.keep(texts)
        except AppError as error:
            outcome = error
        except Exception:  # the thread's outermost door: whoever waits must hear of it
            LOG.exception("A long record failed in a way that nobody foresaw.")
            outcome = AuditUnavailable("A long record failed in a way that nobody foresaw: see the service's own output.")
        with suppress(RuntimeError):  # the loop was closed: nobody waits any more
            done.get_loop().call_soon_threadsafe(self._settle, done, outcome)

    def _settle(self, done: asyncio.Future[Draft], outcome: Draft | AppError) -> None:
        self._turns.release()
        if done.done():
            return
        if isinstance(outcome, AppError):
            done.set_exception(outcome)
        else:
            done.set_result(outcome)

    def _tell(self, trouble: str | None) -> None:
        """Once, not for each record; short records are taken all the while."""
        if trouble is not None and self._trouble is None:
            LOG.error("Long records are refused: %s", trouble)
            self._on_change("long_texts_not_kept", trouble)
        elif trouble is None and self._trouble is not None:
            self._on_change("long_texts_kept_again", "")
        self._trouble = trouble
