"""Watches that the log stays what was signed, while a service records: evidence.md, "The watch".

| what | compared |
| --- | --- |
| the place and length of the log, its lock files, the checkpoint | at each look |
| the last 1,024 signed records, and the lengths of the stored tree | at each look after a change |
| all other signed records, and the stored tree | in passes, a limited number of bytes a second |
"""

from __future__ import annotations

import time
from collections.abc import Callable

from ...errors import AuditCorrupt, EvidenceUnavailable, VerificationFailed
from ..format.note import Checkpoint
from ..storage.append import append
from ..storage.store import AuditStore, Look
from .health import LogHealth, Recheck
from .log_key import KeyFile
from .recheck import Pass, Recent
from .signer import CheckpointSigner
from .stored_tree import StoredTree

SETTLED_SECONDS = 0.1
"""A file that changed longer ago shows any later change by its stamp."""
COMPARED_AGAIN_SECONDS = 10.0
"""The newest records are compared again even if the stamp is the same."""
PASS_SECONDS = 1.0
"""A pass takes at least so long."""
IDLE_PASS_SECONDS = 300.0
"""A log whose stamp is the same is read again after so long."""
Stamp = tuple[int, ...]
ReportEvent = Callable[[str, str, str], None]
"""Called with the event, its level, and a sentence, when something changes."""


class LogWatch:
    """Blocks. For the one thread or process that signs."""

    def __init__(
        self,
        store: AuditStore,
        tree: StoredTree,
        checkpoint_signer: CheckpointSigner,
        key_file: KeyFile,
        health: LogHealth,
        report: ReportEvent,
        *,
        bytes_per_second: float,
        steady: Callable[[], float] = time.monotonic,
        verify_place: Callable[[], None] = lambda: None,
    ) -> None:
        """*verify_place*: raises EvidenceUnavailable for a place that may lose the log."""
        self._verify_place = verify_place
        self._store, self._tree, self._signer = store, tree, checkpoint_signer
        self._key_file, self._health, self._report = key_file, health, report
        self._rate, self._steady = bytes_per_second, steady
        self._recent = Recent(store, tree)
        self._compared: tuple[Stamp, float] | None = None  # the settled stamp, and when
        self._pass: Pass | None = None
        self._known = bytearray()  # what passes have proven
        self._began_with: tuple[Stamp, Stamp] | None = None  # the settled stamps at the start of the pass
        self._began_at = self._read_at = steady()
        self._passes = 0
        self._refused: object = None  # what a whole check found wrong

    def look(self) -> None:
        """Raises AuditCorrupt where the log is not what was signed.

        A stored tree that is damaged is marked, to be rebuilt. Raises EvidenceUnavailable,
        AuditUnavailable where something cannot be read now.
        """
        try:
            self._verify_place()
            seen = self._store.look()
        except EvidenceUnavailable:
            self._health.is_away = True
            raise
        self._health.is_away = False
        self._restore_locks(seen)
        signed = self._signer.published()
        if (signed.size if signed else 0) < self._health.size:  # seen by a signing loop before this one
            raise AuditCorrupt(f"The published checkpoint went back: one over {self._health.size} records was there before.")
        self._look_at_small_files()
        if signed is None:
            return
        try:
            tree = self._tree.look(signed.size)
            if tree is None:
                raise VerificationFailed("The stored tree is shorter than it should be.")
            self._compare_recent(signed.checkpoint, seen)
            self._read_on(signed.checkpoint, seen, tree)
        except VerificationFailed:
            self._pass = None
            self._tree.mark_damaged()

    def verify_mended(self) -> None:
        """Read the whole log again, if something changed since that failed. Raises AuditCorrupt."""
        self._store.accept_files()
        seen = self._store.look()
        self._restore_locks(seen)
        signed = self._signer.published()
        state = seen.stamp, signed, self._store.durable()
        if state == self._refused:
            raise AuditCorrupt(self._health.problem or "The audit log is not what was signed.")
        try:
            self._signer.verify_whole()
        except AuditCorrupt:
            self._refused = state
            raise
        self._refused = self._compared = self._pass = None
        self._recent = Recent(self._store, self._tree)

    # --- the newest records ----------------------------------------------------------------------

    def _compare_recent(self, signed: Checkpoint, seen: Look) -> None:
        now, stamp = self._steady(), _settled(seen)
        self._recent.follow(signed)
        if self._compared is None or self._compared[0] != stamp or now - self._compared[1] > COMPARED_AGAIN_SECONDS:
            self._recent.compare()
            self._compared = (stamp, now) if stamp else None

    # --- all records -----------------------------------------------------------------------------

    def _read_on(self, signed: Checkpoint, seen: Look, tree: Stamp) -> None:
        now = self._steady()
        since, self._read_at = now - self._read_at, now
        if not self._signer.is_elected:  # one node reads for all
            return
        if self._pass is None:
            if not self._is_due(now, (seen.stamp, tree)):
                return
            self._pass = Pass(self._store, self._tree, signed, self._known)
            self._began_at, self._began_with = now, (seen.stamp, tree) if _settled(seen) else None
        self._pass.read(round(self._rate * min(since, 1.0)))
        if self._pass.is_done:
            self._passes += 1
        self._health.recheck = Recheck(self._pass.position, seen.stamp[2], self._passes)
        if self._pass.is_done:
            self._pass = None

    def _is_due(self, now: float, found: tuple[Stamp, Stamp]) -> bool:
        since, is_same = now - self._began_at, self._began_with == found
        return self._passes == 0 or since >= (IDLE_PASS_SECONDS if is_same else PASS_SECONDS)

    # --- what is restored -------------------------------------------------------------------------

    def _restore_locks(self, seen: Look) -> None:
        if seen.are_locks_intact:
            return
        self._report("log_locks_restored", "WARNING", "a lock file of the audit log was removed, replaced or emptied")
        try:
            append(self._store.recover, [])
        except AuditCorrupt:  # the store held the old files open; now it opens those that are there
            append(self._store.recover, [])

    def _look_at_small_files(self) -> None:
        if self._signer.restore_verifier_key():
            self._report("verifier_key_restored", "WARNING", "the file vkey in the log's tree was removed or altered")
        if (is_lost := not self._key_file.holds(self._signer.key)) != self._health.is_key_lost:
            self._health.is_key_lost = is_lost
            if is_lost:
                self._report(
                    "log_key_lost", "CRITICAL", "the file of the log key is missing or was altered: restore it before a restart"
                )
            else:
                self._report("log_key_back", "INFO", "the file of the log key holds the key again")


def _settled(seen: Look) -> Stamp | None:
    """The stamp, if no change can have been missed since."""
    return seen.stamp if time.time() - seen.changed_at > SETTLED_SECONDS else None
