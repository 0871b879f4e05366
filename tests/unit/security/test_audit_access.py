"""Who is shown which part of the log, and that an auditor's read is recorded before its result."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from app.audit.evidence.reader import EvidenceReader
from app.audit.evidence.signer import CheckpointSigner
from app.audit.evidence.stored_tree import StoredTree
from app.audit.format.note import Signer
from app.audit.format.tiles import ENTRIES, Tile
from app.audit.log import AuditLog
from app.errors import AuditUnavailable, NotFound
from app.security.audit_access import READERS, AuditAccess, Inquiry
from app.security.models import Principal
from app.security.roles import ASK, AUDIT_READER

from ...support.stores import open_store
from ...support.waiting import until

pytestmark = pytest.mark.anyio


def inquiry(user_id: str, *roles: str) -> Inquiry:
    return Inquiry(Principal(user_id, roles, user_id, "0" * 32, 1), "a" * 32, "127.0.0.1")


ALICE, AUDITOR = inquiry("alice", ASK), inquiry("erika", ASK, AUDIT_READER)


class Shown:
    """An access over a log of five records: 0 is nobody's, 1 and 2 alice's, 3 bobby's, 4 nobody's."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "audit_log.jsonl"
        self.log = AuditLog(open_store(self.path))
        signer = CheckpointSigner(open_store(self.path), StoredTree.beside(self.path), Signer.generate("example.com/log"))
        self.access = AuditAccess(EvidenceReader(open_store(self.path), StoredTree.beside(self.path), signer), self.log)

    async def fill(self) -> None:
        for user_id in ("alice", "alice", "bobby", None):
            await self.log.record("request.refused", user_id=user_id, details={}, request_id="0" * 32)

    def lines(self) -> list[bytes]:
        return self.path.read_bytes().splitlines(keepends=True)

    def reads(self) -> list[dict[str, Any]]:
        """The `audit.read` records, without what every record has."""
        records = [json.loads(line) for line in self.lines()]
        return [
            {"user_id": one["user_id"], "request_id": one["request_id"], **one["details"]}
            for one in records
            if one["action"] == "audit.read"
        ]


@pytest.fixture
async def shown(tmp_path: Path) -> AsyncIterator[Shown]:
    shown = Shown(tmp_path)
    shown.log.create({})
    async with shown.log:
        await shown.fill()
        yield shown
        shown.access.close()
    shown.log.close()


async def test_a_principal_reads_its_own_records_unrecorded(shown: Shown) -> None:
    lines = shown.lines()
    assert await shown.access.entry(ALICE, 1) == lines[1]
    assert b"c2sp.org/tlog-proof" in await shown.access.receipt(ALICE, 2)
    page = await shown.access.page(ALICE, 0, 10)
    assert (page.lines, page.next) == (lines[1:3], None)
    assert shown.reads() == []


async def test_anothers_record_and_a_missing_one_look_the_same(shown: Shown) -> None:
    sentences = set()
    for seq in (0, 3, 4, 99):
        for read in (shown.access.entry, shown.access.receipt):
            with pytest.raises(NotFound) as refused:
                await read(ALICE, seq)
            sentences.add(refused.value.detail)
    assert sentences == {"The log has no such record."}


async def test_an_auditor_reads_everything_and_each_read_is_recorded(shown: Shown) -> None:
    lines = shown.lines()
    assert await shown.access.entry(AUDITOR, 3) == lines[3]
    await shown.access.receipt(AUDITOR, 0)
    assert (await shown.access.page(AUDITOR, 1, 2)).lines == lines[1:3]
    await shown.access.bundle(AUDITOR, Tile(ENTRIES, 0, 5))
    by = {"user_id": "erika", "request_id": "a" * 32}
    how = {"address": "127.0.0.1", "credential": f"token:{'0' * 32}"}
    assert shown.reads() == [
        {**by, "what": "entry", "from": 3, "count": 1, **how},
        {**by, "what": "receipt", "from": 0, "count": 1, **how},
        {**by, "what": "entries", "from": 1, "count": 2, **how},
        {**by, "what": "bundle", "from": 0, "count": 5, **how},
    ]


async def test_an_auditor_is_shown_nothing_that_cannot_be_recorded(shown: Shown) -> None:
    await shown.access.receipt(AUDITOR, 0)  # signed, so that only the record is in the way
    reads = shown.reads()
    shown.log.close_until_writable("The disk is full.")
    for read in (
        shown.access.entry(AUDITOR, 1),
        shown.access.receipt(AUDITOR, 1),
        shown.access.page(AUDITOR, 0, 5),
        shown.access.bundle(AUDITOR, Tile(ENTRIES, 0, 5)),
    ):
        with pytest.raises(AuditUnavailable):
            await read
    assert await shown.access.entry(ALICE, 1) == shown.lines()[1], "a principal still reads its own"
    assert shown.reads() == reads


async def test_anyone_gets_checkpoint_and_hash_tiles_even_if_readers_wait(shown: Shown) -> None:
    await shown.access.checkpoint()
    blocked, waits = asyncio.Event(), list[int]()
    loop = asyncio.get_running_loop()

    def wait() -> None:
        waits.append(1)
        asyncio.run_coroutine_threadsafe(blocked.wait(), loop).result()

    waiting = [asyncio.create_task(shown.access.off_the_loop(wait)) for _ in range(20)]
    await until(lambda: len(waits) == READERS)
    async with asyncio.timeout(10):
        assert b"example.com/log" in await shown.access.checkpoint()
        assert len(await shown.access.tile(Tile(0, 0, 5))) == 5 * 32
    blocked.set()
    await asyncio.gather(*waiting)
    assert shown.reads() == []


async def test_the_end_waits_for_no_read_that_hangs_and_begins_none_that_waits(shown: Shown) -> None:
    begun, goes_on = list[int](), threading.Event()

    def hang() -> bool:
        begun.append(1)
        return goes_on.wait(30)

    reads = [asyncio.create_task(shown.access.off_the_loop(hang)) for _ in range(READERS + 1)]
    await until(lambda: len(begun) == READERS)
    shown.access.close()
    goes_on.set()
    *hung, waiting = await asyncio.gather(*reads, return_exceptions=True)
    assert hung == [True] * READERS, "the end did not wait"
    assert isinstance(waiting, asyncio.CancelledError)
