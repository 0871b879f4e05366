"""Shortens records too long for a line, off the event loop, once their long texts are kept."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable
from contextlib import suppress

from ...errors import AppError, AuditUnavailable, LongTextUnavailable
from ..format.record import MAX_DETAILS_BYTES, Draft, fitting
from .availability import RETRY_AFTER_SECONDS
from .loop_clock import in_time
from .store import TextStore

LOG = logging.getLogger("app.audit")
MAX_THREADS = 4
"""Also while a disk hangs; further records wait for one of these threads."""


class LongRecords:
    """For one event loop."""

    def __init__(self, texts: TextStore | None, timeout_seconds: float, on_change: Callable[[str, str], None]) -> None:
        """*texts* None: only digests are left.

        *on_change* gets `long_texts_not_kept` and why, or `long_texts_kept_again`.
        """
        self._texts, self._on_change = texts, on_change
        self._timeout = None if texts is None else timeout_seconds  # without a disk nothing can hang
        self._free_threads = asyncio.Semaphore(MAX_THREADS)
        self._problem: str | None = None

    async def fit(self, make: Callable[[], Draft]) -> Draft:
        """The record that fits into a line; if texts are kept, those that it lacks are durable.

        *make* is called in a thread. Raises what it raises, and LongTextUnavailable. A
        caller that is refused or cancelled may leave texts that no record names.
        """
        try:
            work = self._fit_in_thread(make)
            fitted = await (work if self._timeout is None else in_time(work, self._timeout))
        except TimeoutError:
            self._report("The disk did not take a long text in time.")
        except AppError as error:
            self._report(error.detail)
        else:
            self._report(None)
            return fitted
        raise LongTextUnavailable(retry_after=RETRY_AFTER_SECONDS)

    async def _fit_in_thread(self, make: Callable[[], Draft]) -> Draft:
        await self._free_threads.acquire()
        done: asyncio.Future[Draft] = asyncio.get_running_loop().create_future()
        self._start(make, done)
        return await done

    def _start(self, make: Callable[[], Draft], done: asyncio.Future[Draft]) -> None:
        """A daemon thread: an executor's would keep the process from ending while a disk hangs."""
        try:
            threading.Thread(target=self._work, args=(make, done), name="long-record", daemon=True).start()
        except RuntimeError as error:
            self._free_threads.release()
            raise AuditUnavailable("The system has no thread to keep a long text with.") from error

    def _work(self, make: Callable[[], Draft], done: asyncio.Future[Draft]) -> None:
        outcome: Draft | AppError | ValueError
        try:
            outcome = make()
            if len(outcome.details) > MAX_DETAILS_BYTES:
                outcome, texts = fitting(outcome)
                if self._texts is not None:
                    self._texts.keep(texts)
        except (AppError, ValueError) as error:
            outcome = error
        except Exception:  # if it ended the thread, the caller would wait for ever
            LOG.exception("Keeping a long record failed unexpectedly.")
            outcome = AuditUnavailable("Keeping a long record failed unexpectedly: see the service's own output.")
        with suppress(RuntimeError):  # the loop is closed: nobody waits any more
            done.get_loop().call_soon_threadsafe(self._resolve, done, outcome)

    def _resolve(self, done: asyncio.Future[Draft], outcome: Draft | AppError | ValueError) -> None:
        self._free_threads.release()
        if done.done():
            return
        if isinstance(outcome, AppError | ValueError):
            done.set_exception(outcome)
        else:
            done.set_result(outcome)

    def _report(self, problem: str | None) -> None:
        """Report a change, not each record. Short records are taken all the while."""
        if problem is not None and self._problem is None:
            LOG.error("Long records are refused: %s", problem)
            self._on_change("long_texts_not_kept", problem)
        elif problem is None and self._problem is not None:
            self._on_change("long_texts_kept_again", "")
        self._problem = problem
