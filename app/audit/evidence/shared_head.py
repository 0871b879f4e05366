"""The signed checkpoint that all nodes of one log share, and what a node's own copy says of it."""

from __future__ import annotations

from typing import Protocol

from ...errors import AuditCorrupt, VerificationFailed
from ..format.note import VerifierKey, verify_checkpoint
from .published import SignedCheckpoint

RESTORED = "Was it restored to an earlier point? See the page on many machines before you do anything else"


class SharedHead(Protocol):
    """Blocks. Raises EvidenceUnavailable where the database cannot be asked."""

    def latest(self) -> bytes | None:
        """The last signed checkpoint, durable: no failover takes it back. None: there is none."""

    @property
    def is_elected(self) -> bool:
        """Whether `lead` said so, and no fault came since. Asks nobody."""

    def lead(self) -> bool:
        """Whether this process is the elected signer. If nobody is, it is from now on."""

    def replace(self, old: bytes | None, new: bytes) -> None:
        """Make *new* the last one, if *old* still is. Durable on return.

        Raises EvidenceUnavailable if another signer was first, or it is not known whether *new*
        is there now. Then `latest` says so.
        """

    def close(self) -> None:
        """Give up the election. Idempotent."""


def read_head(heads: SharedHead, key: VerifierKey) -> SignedCheckpoint | None:
    """Raises AuditCorrupt where it is not signed by *key*, EvidenceUnavailable."""
    note = heads.latest()
    if note is None:
        return None
    try:
        return SignedCheckpoint(note, verify_checkpoint(note, key))
    except VerificationFailed as error:
        raise AuditCorrupt(f"The signed checkpoint in the database is not signed by the log key: {error.detail}") from error


def verify_not_behind(own: SignedCheckpoint | None, shared: SignedCheckpoint | None) -> None:
    """Raises AuditCorrupt where *shared* is behind *own*, or contradicts it."""
    if own is None or (shared is not None and (shared.size > own.size or shared.note == own.note)):
        return
    if shared is not None and shared.size == own.size:
        raise AuditCorrupt(f"The database has another signed checkpoint over {own.size} records than this node has seen.")
    there = "no signed checkpoint" if shared is None else f"one over {shared.size}"
    raise AuditCorrupt(
        f"This node has seen a signed checkpoint over {own.size} records, and the database has {there}. {RESTORED}."
    )
