"""Whose records may be searched: one's own, or all with the role of auditors."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from app.audit.evidence import reader
from app.audit.evidence.reader import EvidenceReader
from app.audit.evidence.signer import CheckpointSigner
from app.audit.evidence.stored_tree import StoredTree
from app.audit.format.note import Signer
from app.audit.index.builder import IndexBuilder
from app.audit.index.demand import Demand
from app.audit.index.schema import index_path
from app.audit.index.search import Filter
from app.audit.log import AuditLog
from app.errors import InsufficientScope, InvalidRequest, Unavailable
from app.security import record_search
from app.security.audit_access import AuditAccess, Inquiry
from app.security.models import Principal
from app.security.record_search import RecordSearch, allowed, verify_still_allowed, whose_sums
from app.security.roles import ADMIN, ASK, AUDIT_READER

from ...support.stores import open_store


def principal(*roles: str) -> Principal:
    return Principal("alice", roles, "alice", "0", 1)


@pytest.fixture
async def searched(tmp_path: Path) -> AsyncIterator[RecordSearch]:
    """Over a log and an index of three records: 0 is nobody's, 1 alice's, 2 bobby's."""
    path = tmp_path / "audit_log.jsonl"
    log, tree = AuditLog(open_store(path)), StoredTree.beside(path)
    log.create({})
    signer = CheckpointSigner(open_store(path), StoredTree.beside(path), Signer.generate("example.com/log"))
    access = AuditAccess(EvidenceReader(open_store(path), tree, signer), log)
    async with log:
        for user_id in ("alice", "bobby"):
            await log.record("request.refused", user_id=user_id, details={}, request_id="0" * 32)
        signer.publish_next()
        builder = IndexBuilder(open_store(path), path, Demand())
        while builder.step():
            pass
        yield RecordSearch(access, index_path(path))
        builder.close()
        access.close()
    log.close()


@pytest.mark.anyio
async def test_opening_a_feed_of_others_is_recorded_and_of_ones_own_is_not(searched: RecordSearch, tmp_path: Path) -> None:
    by = Inquiry(principal(AUDIT_READER), "a" * 32, "127.0.0.1")
    await searched.open_feed(by, Filter(user="alice"), 3)
    await searched.open_feed(by, Filter(user="bobby"), 3)
    *_, last = map(json.loads, (tmp_path / "audit_log.jsonl").read_bytes().splitlines())
    assert (last["seq"], last["action"], last["user_id"], last["request_id"]) == (3, "audit.read", "alice", "a" * 32)
    told = {"what": "feed", "filter": {"user": "bobby"}, "from": 3, "address": "127.0.0.1", "credential": by.principal.credential}
    assert last["details"] == told


def last_record(tmp_path: Path) -> dict[str, Any]:
    return dict(json.loads((tmp_path / "audit_log.jsonl").read_bytes().splitlines()[-1]))


@pytest.mark.anyio
async def test_a_search_of_others_is_recorded_and_of_ones_own_is_not(searched: RecordSearch, tmp_path: Path) -> None:
    by = Inquiry(principal(AUDIT_READER), "a" * 32, "127.0.0.1")
    for wanted, seqs, is_recorded in (
        (Filter(user="alice"), [1], False),
        (Filter(user="bobby"), [2], True),
        (Filter(), [2, 1, 0], True),
    ):
        before = last_record(tmp_path)["seq"]
        result = await searched.search(by, wanted)
        assert [json.loads(line)["seq"] for line in result.lines] == result.found.seqs == seqs
        last = last_record(tmp_path)
        assert last["seq"] == before + is_recorded
        if is_recorded:
            told = {"what": "search", "filter": wanted.members(), "count": len(seqs)}
            assert (last["action"], last["details"]) == (
                "audit.read",
                {**told, "address": "127.0.0.1", "credential": by.principal.credential},
            )


@pytest.mark.anyio
async def test_records_that_no_checkpoint_covers_are_counted_and_left_out(
    searched: RecordSearch, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As while another process that signs hangs."""
    monkeypatch.setattr(reader, "WAIT_SECONDS", 0.05)
    by = Inquiry(principal(AUDIT_READER), "a" * 32, "127.0.0.1")
    for _ in range(2):
        await searched.open_feed(by, Filter(user="bobby"), 3)  # writes a record of alice
    path = tmp_path / "audit_log.jsonl"
    builder = IndexBuilder(open_store(path), path, Demand())
    while builder.step():
        pass
    builder.close()
    with StoredTree.beside(path).locked(1):
        for wanted, seqs, unsigned in ((Filter(user="alice"), [1], 2), (Filter(user="bobby"), [2], 0)):
            result = await searched.search(by, wanted)
            assert (result.found.seqs, result.unsigned) == (seqs, unsigned)
            assert [json.loads(line)["seq"] for line in result.lines] == seqs
        assert await searched.open_export(by, Filter(user="alice"), "csv", 3) == [1]
    signed = await searched.search(by, Filter(user="alice"))
    assert (signed.found.seqs, signed.unsigned) == ([4, 3, 1], 0), "one is signed where that is possible"


@pytest.mark.anyio
async def test_an_export_of_others_is_recorded_and_a_part_of_one_is_refused(
    searched: RecordSearch, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    by = Inquiry(principal(AUDIT_READER), "a" * 32, "127.0.0.1")
    assert await searched.open_export(by, Filter(user="alice"), "csv", 3) == [1]
    assert last_record(tmp_path)["seq"] == 2
    assert await searched.open_export(by, Filter(), "csv", 3) == [0, 1, 2]
    told = {"what": "export", "format": "csv", "filter": {}, "count": 3}
    assert last_record(tmp_path)["details"] == {**told, "address": "127.0.0.1", "credential": by.principal.credential}
    with pytest.raises(Unavailable, match="newest records yet") as early:
        await searched.open_export(by, Filter(user="alice"), "csv", 4)
    assert early.value.retry_after == 2
    monkeypatch.setattr(record_search, "MAX_EXPORTED", 2)
    with pytest.raises(InvalidRequest, match="More than 2 records"):
        await searched.open_export(by, Filter(), "csv", 3)
    assert len(await searched.open_export(by, Filter(before=2), "csv", 3)) == 2


@pytest.mark.anyio
async def test_a_feed_brings_the_records_of_whom_it_is_for(searched: RecordSearch) -> None:
    for wanted, start, seqs in ((Filter(user="bobby"), 0, [2]), (Filter(), 1, [1, 2]), (Filter(), 3, [])):
        page = await searched.news(wanted, start, 3)
        assert [json.loads(line)["seq"] for line in page.lines] == seqs


def test_without_the_role_a_search_is_for_ones_own_records() -> None:
    assert allowed(principal(ASK), Filter(text="x")) == Filter(text="x", user="alice")
    assert allowed(principal(ASK, ADMIN), Filter(user="alice")) == Filter(user="alice")
    with pytest.raises(InsufficientScope, match=AUDIT_READER):
        allowed(principal(ASK, ADMIN), Filter(user="bobby"))


def test_an_auditor_searches_all() -> None:
    assert allowed(principal(AUDIT_READER), Filter()) == Filter()
    assert allowed(principal(AUDIT_READER), Filter(user="bobby")).user == "bobby"


def test_a_feed_of_others_ends_with_the_role_and_one_of_ones_own_goes_on() -> None:
    for wanted in (Filter(), Filter(user="bobby")):
        verify_still_allowed(principal(AUDIT_READER), wanted)
        with pytest.raises(InsufficientScope, match=AUDIT_READER):
            verify_still_allowed(principal(ASK), wanted)
    verify_still_allowed(principal(), Filter(user="alice"))


def test_sums_of_all_are_for_auditors_and_admins() -> None:
    assert [whose_sums(principal(role), None) for role in (ASK, AUDIT_READER, ADMIN)] == ["alice", None, None]
    assert whose_sums(principal(ADMIN), "bobby") == "bobby"
    with pytest.raises(InsufficientScope, match=AUDIT_READER):
        whose_sums(principal(ASK), "bobby")
