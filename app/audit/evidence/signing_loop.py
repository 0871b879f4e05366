"""Runs beside the service: signs, watches the log, records silence and changes of the clock."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress

from ...errors import AppError, AuditCorrupt, AuditUnavailable, EvidenceUnavailable
from ..format.record import draft
from ..storage.append import append
from ..storage.store import AuditStore
from .health import LogHealth
from .log_watch import LogWatch, ReportEvent
from .published import SignedCheckpoint
from .signer import CheckpointSigner

LOG = logging.getLogger("app.audit")
POLL_SECONDS = 0.6
"""Between two steps, so that a record is signed within a second."""
LOOK_SECONDS = POLL_SECONDS / 2
"""Between two looks at the log, so that a stranger's change closes it within a second."""
ALIVE_SECONDS = 60.0
"""Silence after which `log.alive` is recorded."""
CLOCK_STEP_SECONDS = 5.0
"""A smaller change of the clock is not recorded."""
UNEXPECTED = "The signing loop failed unexpectedly. See the service's own output."


def since_boot() -> float:
    """Seconds on a clock that nobody can set. It also runs while the machine sleeps."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


class SigningLoop:
    """Blocks: needs a process or thread of its own.

    No error ends it. A problem is reported once, and each step tries again.
    """

    def __init__(
        self,
        store: AuditStore,
        checkpoint_signer: CheckpointSigner,
        report: ReportEvent,
        *,
        watch: LogWatch,
        health: LogHealth,
        alive_seconds: float = ALIVE_SECONDS,
        wall: Callable[[], float] = time.time,
        steady: Callable[[], float] = since_boot,
    ) -> None:
        self._store, self._signer, self._report = store, checkpoint_signer, report
        self._watch, self._health = watch, health
        self._last: SignedCheckpoint | None = None
        self._reported_rebuilds = self._recorded_rebuilds = 0
        self._alive_seconds, self._wall, self._steady = alive_seconds, wall, steady
        self._last_seq, self._silent_since = -2, steady()
        self._offset: float | None = None
        with suppress(AppError):  # a clock of a database that cannot be asked now
            self._offset = wall() - steady()
        self._unrecorded_step = 0.0  # seconds
        self._is_start_verified = False
        self._problem: str | None = None

    def run(self, stop: threading.Event) -> None:
        """Until *stop*. What was recorded before the end is signed then."""
        while not stop.is_set():
            if not self.step() and not stop.wait(LOOK_SECONDS):
                self.look()
                stop.wait(LOOK_SECONDS)
        while self.step():
            pass

    def step(self) -> bool:
        """Do what is due. Returns whether more records wait to be signed."""
        return self._tried(self._do_all)

    def look(self) -> None:
        """Look at the log between two steps."""
        if self._health.problem is None:
            self._tried(self._watch.look)

    def _do_all(self) -> bool:
        if self._health.problem is not None:
            self._open_if_mended()
        self._watch.look()
        more = self._sign()
        self._record_rebuilds()
        self._watch_clock()
        self._watch_silence()
        if self._problem is not None:
            self._problem = None
            self._report("head_signed_again", "INFO", "the end of the log is signed again")
        return more

    def _tried(self, work: Callable[[], bool | None]) -> bool:
        more: bool | None = False
        try:
            more = work()
        except AuditCorrupt as error:
            self._close(error)
        except AppError as error:
            if self._health.problem is None:
                self._report_problem(error)
        except Exception:  # if it ended the thread, nobody would sign or watch the log; it is reported
            LOG.exception(UNEXPECTED)  # at each step: the output shows each kind a few times a minute
            self._report_problem(EvidenceUnavailable(UNEXPECTED))
        self._health.beat()
        return bool(more)

    def _sign(self) -> bool:
        if not self._is_start_verified:
            self._signer.verify_start()
            self._is_start_verified = True
        durable = self._store.durable()
        if durable is None:
            return False
        signed = None if self._signer.tree.is_damaged() else self._signer.published()
        if signed is None or signed.size <= durable.seq:
            self._health.note_behind(True)
            signed = self._signer.publish_next()
        has_moved = signed is not None and signed is not self._last
        if signed is not None and has_moved:
            self._health.note_checkpoint(signed.size, self._signer.tree.checkpoint_age_seconds())
            self._last = signed
        is_behind = signed is not None and signed.size <= durable.seq
        if not self._signer.is_elected:  # it follows another node, which signs up to here in a moment
            self._health.note_behind(is_behind and not has_moved)
            return False
        self._health.note_behind(is_behind)
        return is_behind

    def _record_rebuilds(self) -> None:
        rebuilds = self._signer.rebuilds
        if rebuilds > self._reported_rebuilds:
            self._reported_rebuilds = rebuilds
            self._report("tree_rebuilt", "WARNING", "the stored tree was damaged and was rebuilt from the log")
        if rebuilds == self._recorded_rebuilds or self._last is None:
            return
        if self._append("log.tree_rebuilt", {"records": self._last.size}):
            self._recorded_rebuilds = rebuilds

    def _watch_silence(self) -> None:
        """Record a sign of life. A longer gap then means: not running, or records were removed."""
        durable = self._store.durable()
        if durable is None:
            return
        now = self._steady()
        if durable.seq != self._last_seq:
            self._last_seq, self._silent_since = durable.seq, now
            return
        details = {"silent_seconds": round(self._alive_seconds)}
        if now - self._silent_since >= self._alive_seconds and self._append("log.alive", details, after=durable.seq):
            self._silent_since = now

    def _watch_clock(self) -> None:
        """Record when somebody set the clock, since timestamps in the log depend on it."""
        offset = self._wall() - self._steady()
        step, self._offset = offset - (offset if self._offset is None else self._offset), offset
        if not self._signer.is_elected:  # one node records for all
            return
        if abs(step) > CLOCK_STEP_SECONDS:
            self._report("clock_stepped", "WARNING", f"by {step:.3f} s")
            self._unrecorded_step += step
        if self._unrecorded_step and self._append("log.clock_stepped", {"seconds": round(self._unrecorded_step, 3)}):
            self._unrecorded_step = 0.0

    def _append(self, action: str, details: Mapping[str, object], after: int | None = None) -> bool:
        """Returns whether the record is durable. If not, the workers report the problem."""
        try:
            append(self._store.append, [draft(action, None, details)], after=after)
        except (AuditUnavailable, AuditCorrupt):  # the next look says what is wrong with the log
            return False
        return True

    def _report_problem(self, error: AppError) -> None:
        if self._problem != error.detail:
            self._problem = error.detail
            LOG.error("The end of the log cannot be signed: %s", error.detail)
            self._report("head_not_signed", "ERROR", error.detail)

    # --- a log that is not what was signed -------------------------------------------------------

    def _close(self, error: AuditCorrupt) -> None:
        """No process records anything from here on, until the log is again what was signed."""
        if self._health.problem is not None:
            return
        self._health.close(error.detail)
        LOG.critical("Nothing is recorded any more: %s", error.detail)
        self._report("log_not_as_signed", "CRITICAL", error.detail)
        with suppress(AppError):
            self._signer.keep_checkpoint()

    def _open_if_mended(self) -> None:
        self._signer.verify_start()
        self._watch.verify_mended()
        self._health.open()
        self._report("log_as_signed_again", "WARNING", "the whole log was read and is what was signed; records are taken again")
