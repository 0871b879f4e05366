"""Searches of records and feeds of new ones: who may see whose, and what is recorded of it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from ..audit.evidence.reader import Page
from ..audit.index.search import Filter, Found, find_all, search
from ..errors import InsufficientScope, InvalidRequest, NotFound, Unavailable
from .audit_access import AuditAccess, Inquiry
from .models import Principal
from .roles import ADMIN, AUDIT_READER

MAX_NEWS = 200
"""Records that a feed takes at once."""
MAX_EXPORTED = 100_000


@dataclass(frozen=True, slots=True)
class SearchResult:
    """*lines*: the stored lines of what was *found*.

    *unsigned*: so many of the newest records are in the index and were left out.
    """

    found: Found
    lines: list[bytes]
    unsigned: int


@dataclass(frozen=True, slots=True)
class RecordSearch:
    """One `audit.read` for each search, export and feed of others' records.

    Records that no checkpoint covers yet are left out, since nothing would prove them.
    """

    access: AuditAccess
    index: Path

    async def search(self, inquiry: Inquiry, wanted: Filter) -> SearchResult:
        """What was found, and its stored lines. Raises Unavailable, AuditUnavailable."""
        result = await self.access.off_the_loop(lambda: self._find(wanted))
        if not _is_own(inquiry.principal, wanted):
            details = {"what": "search", "filter": wanted.members(), "count": len(result.lines)}
            await self.access.record_read(inquiry, details)
        return result

    async def open_export(self, inquiry: Inquiry, wanted: Filter, form: str, end: int) -> list[int]:
        """The numbers of all records that match, oldest first: surely of those before *end*.

        Raises InvalidRequest for more than MAX_EXPORTED, Unavailable, AuditUnavailable.
        """
        found = await self.access.off_the_loop(lambda: self._find_all(wanted))
        if found.indexed < end:
            raise Unavailable("The index does not hold the newest records yet. Try again in a moment.", retry_after=2)
        if found.count > MAX_EXPORTED:
            raise InvalidRequest(
                f"More than {MAX_EXPORTED:,} records match: narrow the filter, or run audit export --format on the server."
            )
        if not _is_own(inquiry.principal, wanted):
            details = {"what": "export", "format": form, "filter": wanted.members(), "count": found.count}
            await self.access.record_read(inquiry, details)
        return found.seqs

    async def open_feed(self, inquiry: Inquiry, wanted: Filter, start: int) -> None:
        """Before the first record of a feed. Raises AuditUnavailable."""
        if not _is_own(inquiry.principal, wanted):
            details = {"what": "feed", "filter": wanted.members(), "from": start}
            await self.access.record_read(inquiry, details)

    async def news(self, wanted: Filter, start: int, end: int) -> Page:
        """Records of the principal that *wanted* names, from *start* to before *end*."""
        return await self.access.off_the_loop(lambda: self.access.evidence.page(start, MAX_NEWS, wanted.user, end=end))

    def _find(self, wanted: Filter) -> SearchResult:
        found, unsigned = search(self.index, wanted), 0
        if found.seqs and (covered := self.access.evidence.covered(found.seqs[0] + 1)) <= found.seqs[0]:
            found = search(self.index, replace(wanted, before=covered))
            unsigned = max(0, found.indexed - covered)
        return SearchResult(found, list(self.lines(found.seqs)), unsigned)

    def _find_all(self, wanted: Filter) -> Found:
        found = find_all(self.index, wanted, MAX_EXPORTED)
        if found.seqs and (covered := self.access.evidence.covered(found.seqs[-1] + 1)) <= found.seqs[-1]:
            return find_all(self.index, replace(wanted, before=covered), MAX_EXPORTED)
        return found

    def lines(self, seqs: Sequence[int]) -> Iterator[bytes]:
        """Stored lines. Blocks."""
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
