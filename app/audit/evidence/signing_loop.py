"""What keeps the evidence going while the service runs: a turn of the notary when there is something new, a sign of life
when there is not, and a record when somebody set the clock."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Mapping

from ...errors import AppError, AuditCorrupt, AuditUnavailable, EvidenceUnavailable
from ..format.chain import link
from ..format.record import LogEnd, draft
from ..storage.append import now_utc, recovered_draft
from ..storage.store import AuditStore, Batch, Recovery
from .signer import CheckpointSigner

LOG = logging.getLogger("app.audit")
STEP_SECONDS = 0.6
"""Between two looks: a record is signed within a second."""
ALIVE_SECONDS = 60.0
CLOCK_STEP_SECONDS = 5.0
UNFORESEEN = "The notary failed in a way that nobody foresaw: see the service's own output."
Tell = Callable[[str, str, str], None]
"""Told of a change: event, level, detail."""


def since_boot() -> float:
    """Seconds on a clock that nobody can set; on Linux it also runs while the machine sleeps."""
    return time.clock_gettime(getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC))


class SigningLoop:
    """Blocks: runs in a process or a thread of its own. Never fails: what it cannot do now is told once, and tried again."""

    def __init__(
        self,
        store: AuditStore,
        checkpoint_signer: CheckpointSigner,
        tell: Tell,
        *,
        alive_seconds: float = ALIVE_SECONDS,
        wall: Callable[[], float] = time.time,
        steady: Callable[[], float] = since_boot,
    ) -> None:
        self._store, self._notary, self._tell = store, checkpoint_signer, tell
        self._alive_seconds, self._wall, self._steady = alive_seconds, wall, steady
        self._last_seq, self._since = -2, steady()
        self._offset = wall() - steady()
        self._stepped = 0.0  # seconds that the clock was set by and no record tells of yet
        self._has_begun = False
        self._trouble: str | None = None

    def run(self, stop: threading.Event) -> None:
        """Until *stop*; then one last turn, so that what was recorded before the end is signed."""
        while not stop.is_set():
            if not self.step():
                stop.wait(STEP_SECONDS)
        self.step()

    def step(self) -> bool:
        """Do what is due. Whether there is more to sign at once."""
        try:
            more = self._sign()
            self._watch_clock()
            self._watch_silence()
        except AppError as error:
            self._say(error)
            return False
        except Exception:  # the outermost door of this process or thread: it must live
            if self._trouble != UNFORESEEN:  # once: it is tried again twice a second
                LOG.exception(UNFORESEEN)
            self._say(EvidenceUnavailable(UNFORESEEN))
            return False
        if self._trouble is not None:
            self._trouble = None
            self._tell("head_signed_again", "INFO", "the log's head is signed again")
        return more

    def _sign(self) -> bool:
        if not self._has_begun:
            self._notary.verify_start()
            self._has_begun = True
        durable = self._store.durable()
        if durable is None:
            return False
        head = None if self._notary.has_damaged_tree() else self._notary.published()
        if head is None or head.size <= durable.seq:
            head = self._notary.publish_next()
        return head is not None and head.size <= durable.seq

    def _watch_silence(self) -> None:
        durable = self._store.durable()
        if durable is None:
            return
        now = self._steady()
        if durable.seq != self._last_seq:
            self._last_seq, self._since = durable.seq, now
            return
        details = {"silent_seconds": round(self._alive_seconds)}
        if now - self._since >= self._alive_seconds and self._append("log.alive", details, after=durable.seq):
            self._since = now

    def _watch_clock(self) -> None:
        offset = self._wall() - self._steady()
        step, self._offset = offset - self._offset, offset
        if abs(step) > CLOCK_STEP_SECONDS:
            self._tell("clock_stepped", "WARNING", f"by {step:.3f} s")
            self._stepped += step
        if self._stepped and self._append("log.clock_stepped", {"seconds": round(self._stepped, 3)}):
            self._stepped = 0.0

    def _append(self, action: str, details: Mapping[str, object], after: int | None = None) -> bool:
        """Whether it is durable. While the log cannot be written, it is the workers who close and say so.

        *after*: the last record's number; nothing is appended if another (such as another keeper's) has come since.
        """

        def build(head: LogEnd, recovered: tuple[Recovery, ...]) -> Batch:
            own = [draft(action, None, details)] if after in (None, head.seq) else []
            data, _, new = link([*map(recovered_draft, recovered), *own], head, now_utc())
            return Batch(data, new)

        try:
            self._store.append(build)
        except AuditUnavailable:
            return False
        return True

    def _say(self, error: AppError) -> None:
        if self._trouble != error.detail:
            self._trouble = error.detail
            level = "CRITICAL" if isinstance(error, AuditCorrupt) else "ERROR"
            LOG.log(logging.getLevelName(level), "The log's head cannot be signed: %s", error.detail)
            self._tell("head_not_signed", level, error.detail)
