"""Who may read which part of the audit log.

Auditors may read all of it, and each of their reads is recorded.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, TypeVar

from ..audit.evidence.reader import EvidenceReader, Page
from ..audit.format.record import user_of
from ..audit.format.tiles import WIDTH, Tile
from ..audit.log import AuditLog
from ..errors import NotFound
from .models import Principal
from .roles import AUDIT_READER

T = TypeVar("T")
READERS, PUBLIC_READERS = 4, 2
"""Reads at the same time, in one process."""


@dataclass(frozen=True, slots=True)
class Inquiry:
    """The principal that asks to read, and with which request."""

    principal: Principal
    request_id: str
    address: str | None


class AuditAccess:
    """Hands out records, receipts and tiles. An auditor's read is recorded before its result.

    Every method for a principal raises AuditUnavailable if that record cannot be written.
    """

    def __init__(self, evidence: EvidenceReader, audit: AuditLog) -> None:
        self.evidence, self._audit = evidence, audit
        # Two pools of their own: reads that wait for the notary process must delay neither
        # questions, which use the loop's threads, nor the checkpoint, which waits for nothing.
        self._readers = ThreadPoolExecutor(READERS, "evidence")
        self._public = ThreadPoolExecutor(PUBLIC_READERS, "checkpoint")

    def close(self) -> None:
        """Begin no more reads. Does not wait for those that hang on a disk."""
        for threads in (self._readers, self._public):
            threads.shutdown(wait=False, cancel_futures=True)

    async def checkpoint(self) -> bytes:
        """The signed checkpoint: for anyone."""
        return await self.off_the_loop(self.evidence.checkpoint, self._public)

    async def tile(self, tile: Tile) -> bytes:
        """A hash tile: for anyone, because a leaf hash reveals nothing about its line."""
        return await self.off_the_loop(lambda: self.evidence.tile(tile), self._public)

    async def bundle(self, inquiry: Inquiry, tile: Tile) -> bytes:
        """An entry bundle. The calling code has checked that the principal is an auditor."""
        data = await self.off_the_loop(lambda: self.evidence.tile(tile))
        await self.record_read(inquiry, {"what": "bundle", "from": tile.index * WIDTH, "count": tile.width})
        return data

    async def entry(self, inquiry: Inquiry, seq: int) -> bytes:
        """The stored line.

        Raises the same NotFound for a missing record and for another principal's.
        """
        line = await self.off_the_loop(lambda: self.evidence.entry(seq))
        await self._admit(inquiry, seq, line, "entry")
        return line

    async def receipt(self, inquiry: Inquiry, seq: int) -> bytes:
        """The record's tlog-proof, which includes its line. Raises NotFound as `entry` does."""
        line, proof = await self.off_the_loop(lambda: (self.evidence.entry(seq), self.evidence.receipt(seq)))
        await self._admit(inquiry, seq, line, "receipt")
        return proof

    async def page(self, inquiry: Inquiry, start: int, limit: int) -> Page:
        """Stored lines from record *start* on; without the auditor's role, the principal's own."""
        principal = inquiry.principal
        if not principal.has(AUDIT_READER):
            return await self.off_the_loop(lambda: self.evidence.page(start, limit, principal.user_id))
        page = await self.off_the_loop(lambda: self.evidence.page(start, limit))
        await self.record_read(inquiry, {"what": "entries", "from": start, "count": len(page.lines)})
        return page

    async def _admit(self, inquiry: Inquiry, seq: int, line: bytes, what: str) -> None:
        if inquiry.principal.has(AUDIT_READER):
            await self.record_read(inquiry, {"what": what, "from": seq, "count": 1})
        elif user_of(line) != inquiry.principal.user_id:
            raise NotFound("The log has no such record.")

    async def record_read(self, inquiry: Inquiry, details: dict[str, Any]) -> None:
        """Before an auditor is shown what *details* name. Raises AuditUnavailable."""
        details |= {"address": inquiry.address, "credential": inquiry.principal.credential}
        user_id = inquiry.principal.user_id
        await self._audit.record("audit.read", user_id=user_id, details=details, request_id=inquiry.request_id)

    async def off_the_loop(self, read: Callable[[], T], threads: ThreadPoolExecutor | None = None) -> T:
        """*read* in a thread of those who read."""
        return await asyncio.get_running_loop().run_in_executor(threads or self._readers, read)
