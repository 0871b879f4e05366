"""What the log must show for the answers that clients got."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from app.audit.evidence.stored_tree import StoredTree
from app.audit.format.merkle import RightEdge, leaf_hash
from app.audit.format.note import VerifierKey, verify_checkpoint
from app.audit.format.record import EMPTY, LogEnd
from app.audit.storage.jsonl import JsonlStore

from ..support.chain import check_chain
from .load import Outcome

MANY = frozenset({"ask.received", "ask.answered", "ask.failed", "audit.read"})


class Evidence:
    """Reads a log as it grows: each `read` checks the new records, and every new answer against them.

    Checked records are not kept, so that it can follow millions of them. Raises AssertionError for any contradiction.
    """

    def __init__(self, log: Path) -> None:
        self._store, self._tree = JsonlStore(log), StoredTree.beside(log)
        self._head: LogEnd = EMPTY
        self.actions: Counter[str] = Counter()
        self.rare: list[dict[str, Any]] = []
        """All records except those of questions and readers."""
        self._open: dict[int, tuple[str, str]] = {}  # received without a terminal record yet: query, request id
        self._answered: dict[int, tuple[str, str, str]] = {}  # not compared with an answer yet: hash, query, request id
        self._queries: set[str] = set()
        self._bodies: Counter[bytes] = Counter()
        self._edge = RightEdge()  # the tree of the last checkpoint
        self._leaves: list[bytes] = []  # the leaves after it
        self.reads = 0

    @property
    def records(self) -> int:
        return self._head.seq + 1

    @property
    def left_open(self) -> int:
        """Questions without a terminal record, as a crash or a full disk may leave them."""
        return len(self._open)

    def by(self, action: str) -> list[dict[str, Any]]:
        return [one for one in self.rare if one["action"] == action]

    def read(self, outcomes: Iterable[Outcome] = ()) -> None:
        """*outcomes*: those since the last call. A killed writer may have left an unfinished line."""
        note, outcomes = self._tree.checkpoint(), list(outcomes)
        data = b"".join(self._store.chunks(self._store.size(), self._head.size))
        lines = data[: data.rfind(b"\n") + 1].splitlines(keepends=True)
        if lines:
            verdict = check_chain(lines, start=self._head)
            assert verdict.ok, verdict.findings
            assert verdict.last_record is not None
            self._head = LogEnd(self._head.size + sum(map(len, lines)), verdict.last_record.seq, verdict.last_record.hash)
            for line in lines:
                self._note(json.loads(line))
                self._leaves.append(leaf_hash(line[:-1]))
        for one in outcomes:
            if one.status == 200:
                self._check_answer(one)
        if note is not None:
            self._check_head(note)
        self.reads += 1

    def check_calls(self, bodies: Iterable[str]) -> None:
        """Every body that the upstream got (SHA-256) has its own `ask.received`."""
        unrecorded = Counter(bytes.fromhex(one) for one in bodies) - self._bodies
        assert not unrecorded, f"{unrecorded.total()} calls without a record"

    def is_all_signed(self) -> bool:
        return self.records > 0 and not self._leaves

    def _note(self, record: dict[str, Any]) -> None:
        action, details = record["action"], record["details"]
        self.actions[action] += 1
        if action == "ask.received":
            query = details["query"]
            assert query not in self._queries, f"recorded twice: {query}"
            self._queries.add(query)
            self._bodies[bytes.fromhex(details["upstream_sha256"])] += 1
            self._open[record["seq"]] = query, record["request_id"]
        elif action in ("ask.answered", "ask.failed"):
            assert details["received"] in self._open, f"closed twice, or never received: {record}"
            query, request_id = self._open.pop(details["received"])
            assert request_id == record["request_id"], record
            if action == "ask.answered":
                self._answered[record["seq"]] = record["hash"], query, request_id
        elif action not in MANY:
            self.rare.append(record)

    def _check_answer(self, one: Outcome) -> None:
        assert one.seq < self.records, f"acknowledged, but not in the log: {one}"
        found = self._answered.pop(one.seq, None)
        assert found == (one.hash, one.query, one.request_id), f"the client got {one}, and the log holds {found}"

    def _check_head(self, note: bytes) -> None:
        """The published checkpoint covers these lines and is not older than the last one seen."""
        key = VerifierKey.parse((self._tree.folder / "vkey").read_text())
        checkpoint = verify_checkpoint(note, key)
        new = checkpoint.size - self._edge.size
        assert 0 <= new <= len(self._leaves), f"a checkpoint of {checkpoint.size} records after one of {self._edge.size}"
        self._edge.extend(self._leaves[:new])
        del self._leaves[:new]
        assert self._edge.root() == checkpoint.root, f"the checkpoint of {checkpoint.size} records does not match the log's lines"
