"""Searches of records and feeds of new ones: who may see whose, and what is recorded of it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from ..audit.evidence.reader import Page
from ..audit.index.search import Filter, Found, search
from ..errors import InsufficientScope, NotFound
from .audit_access import AuditAccess, Inquiry
from .models import Principal
from .roles import ADMIN, AUDIT_READER

MAX_NEWS = 200
"""Records that a feed takes at once."""


@dataclass(frozen=True, slots=True)
class RecordSearch:
    """One `audit.read` for a search of others' records, and for opening a feed of them."""

    access: AuditAccess
    index: Path

    async def search(self, inquiry: Inquiry, wanted: Filter) -> tuple[Found, list[bytes]]:
        """What was found, and its stored lines. Raises Unavailable, AuditUnavailable."""
        found, lines = await self.access.off_the_loop(lambda: self._find(wanted))
        if not _is_own(inquiry.principal, wanted):
            details = {"what": "search", "filter": wanted.members(), "count": len(lines)}
            await self.access.record_read(inquiry, details)
        return found, lines

    async def open_feed(self, inquiry: Inquiry, wanted: Filter, start: int) -> None:
        """Before the first record of a feed. Raises AuditUnavailable."""
        if not _is_own(inquiry.principal, wanted):
            details = {"what": "feed", "filter": wanted.members(), "from": start}
            await self.access.record_read(inquiry, details)

    async def news(self, wanted: Filter, start: int) -> Page:
        """New records of the principal that *wanted* names, from *start* on."""
        return await self.access.off_the_loop(lambda: self.access.evidence.page(start, MAX_NEWS, wanted.user))

    def _find(self, wanted: Filter) -> tuple[Found, list[bytes]]:
        found = search(self.index, wanted)
        return found, list(self._lines(found.seqs))

    def _lines(self, seqs: list[int]) -> Iterator[bytes]:
        for seq in seqs:
            try:
                yield self.access.evidence.entry(seq)
            except NotFound:  # the index is of another log, and will be built again
                return


def allowed(principal: Principal, wanted: Filter) -> Filter:
    """*wanted*, for one's own records unless the principal may read all.

    Raises InsufficientScope for those of another.
    """
    if principal.has(AUDIT_READER):
        return wanted
    if wanted.user not in (None, principal.user_id):
        raise InsufficientScope(AUDIT_READER)
    return replace(wanted, user=principal.user_id)


def verify_still_allowed(principal: Principal, wanted: Filter) -> None:
    """Of a feed that goes on. Raises InsufficientScope once the role for it is lost."""
    if wanted.user != principal.user_id and not principal.has(AUDIT_READER):
        raise InsufficientScope(AUDIT_READER)


def whose_sums(principal: Principal, user: str | None) -> str | None:
    """Whose sums are shown: None for all. Sums hold no text, so an admin sees all, too."""
    if principal.has(AUDIT_READER) or principal.has(ADMIN):
        return user
    if user not in (None, principal.user_id):
        raise InsufficientScope(AUDIT_READER)
    return principal.user_id


def _is_own(principal: Principal, wanted: Filter) -> bool:
    return wanted.user == principal.user_id
