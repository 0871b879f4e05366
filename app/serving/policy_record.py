"""`policy.changed`: what is recorded of a policy, and which one was recorded last.

A small file beside the log names the record, so that a start need not read all of a long log. It is
removed before a record is written and made after it: where it is missing, the log itself is read.
"""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path
from typing import Any

from ..audit.format.record import action_of, details_of, hash_of
from ..audit.log import AuditLog
from ..catalogue.models import Catalogue
from ..kit.durable_files import replace_file, sync_folder

CHANGED = "policy.changed"


class PolicyRecord:
    """For the one process that records policies at a time. Its calls block, but for `record`."""

    def __init__(self, log_path: Path, audit: AuditLog) -> None:
        self._mark, self._audit = log_path.with_suffix(".policy"), audit

    def last(self) -> str:
        """The SHA-256 of the policy file that was recorded last; empty: none, or one was removed.

        Raises EvidenceUnavailable where the log cannot be read.
        """
        found = self._marked()
        if found is None:
            found = self._search()
            self._remember(*found)
        return found[-1]

    async def record(self, details: dict[str, Any]) -> None:
        """Durable on return. Raises AuditUnavailable."""
        start = self._audit.size()
        self._mark.unlink(missing_ok=True)
        sync_folder(self._mark.parent)
        receipt = await self._audit.record(CHANGED, user_id=None, details=details)
        self._remember(start, self._audit.size(), receipt.hash, details["sha256"])

    def _marked(self) -> tuple[int, int, str, str] | None:
        """What the mark says, if the log has the record that it names."""
        try:
            mark = json.loads(self._mark.read_bytes())
            start, end, digest, sha256 = (mark[name] for name in ("start", "end", "hash", "sha256"))
            is_there = any(hash_of(line) == digest and _policy_of(line) == sha256 for line in self._audit.lines(start, end))
        except (OSError, ValueError, KeyError, TypeError):
            return None
        return (start, end, digest, sha256) if is_there else None

    def _search(self) -> tuple[int, int, str, str]:
        """The last line that says which policy is in force; the log's first says that none is."""
        at, found = 0, (0, 0, "", "")
        for line in self._audit.lines():
            if (sha256 := _policy_of(line)) is not None:
                found = at, at + len(line), hash_of(line) or "", sha256
            at += len(line)
        return found

    def _remember(self, start: int, end: int, digest: str, sha256: str) -> None:
        mark = {"start": start, "end": end, "hash": digest, "sha256": sha256}
        with suppress(OSError):  # the next start reads the log then
            replace_file(self._mark, json.dumps(mark).encode())


def _policy_of(line: bytes) -> str | None:
    """The digest of the policy that a line establishes; None: it says nothing of it."""
    if CHANGED.encode() in line and action_of(line) == CHANGED:
        return str(details_of(line).get("sha256", ""))
    return "" if action_of(line) == "log.opened" else None


def details_of_change(catalogue: Catalogue, path: Path | None, previous: str) -> dict[str, Any]:
    """*path*: of the file, if there is one. *previous*: the digest of the policy before."""
    details = {"file": None if path is None else str(path), "sha256": catalogue.sha256, "previous": previous, "by": "operator"}
    if not catalogue.prices and not catalogue.budgets:
        return details
    return {
        **details,
        "currency": catalogue.currency,
        "time_zone": str(catalogue.time_zone),
        "prices": {name: price.members() for name, price in catalogue.prices.items()},
        "budgets": [budget.members() for budget in catalogue.budgets],
    }
