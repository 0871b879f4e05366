"""Single records and summaries add up to what was refused, also when the log cannot be written."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from pathlib import Path

import pytest

from app.audit.log import AuditLog
from app.errors import LimitsUnavailable
from app.limits.shared_counts import MAX_KINDS, SharedCounts
from app.limits.shared_folder import SharedFolder
from app.security import refusals
from app.security.refusals import RefusalRecorder
from app.security.security_log import SecurityLog

from ...support.stores import open_store
from ...support.windows import held


class Recorder:
    """A real log with its recorder, which admits the first *admitted* refusals of each key to records of their own."""

    def __init__(self, folder: Path, admitted: int = 1, sums: bool = True) -> None:
        self.path = folder / "audit_log.jsonl"
        self.log = AuditLog(open_store(self.path), timeout_seconds=1.0)
        self.log.create({})
        self.events = folder / "security.log"
        seen = Counter[str]()

        def admit(user_id: str | None, network: str) -> bool:
            seen[network] += 1
            return seen[network] <= admitted

        self.security_log = SecurityLog(self.events)
        self.shared = SharedFolder(folder)
        self.codes: list[str] = []
        shared, told = SharedCounts(self.shared), self.codes.append
        self.recorder = RefusalRecorder(self.log, self.security_log, admit, shared, sums=sums, on_refusal=told)

    async def __aenter__(self) -> None:
        await self.log.__aenter__()

    async def __aexit__(self, *exc_info: object) -> None:
        await self.log.__aexit__(*exc_info)
        self.log.close()
        self.security_log.close()
        self.shared.close()

    async def refuse(self, times: int = 1, address: str = "203.0.113.1") -> None:
        for _ in range(times):
            details = {"status": 404, "code": "not_found", "address": address}
            await self.recorder.record(user_id=None, request_id="0" * 32, details=details)

    def recorded(self) -> tuple[int, int]:
        """How many are recorded singly, and how many in summaries."""
        records = [json.loads(line) for line in self.path.read_bytes().splitlines()]
        singles = sum(one["action"] == "request.refused" for one in records)
        return singles, sum(one["details"].get("total", 0) for one in records)


def test_the_code_of_each_refusal_is_told_also_of_one_without_a_record(tmp_path: Path) -> None:
    async def main() -> None:
        one = Recorder(tmp_path, admitted=1)
        async with one:
            await one.refuse(2)
            one.recorder.count("malformed_http", "203.0.113.1")
        assert one.codes == ["not_found", "not_found", "malformed_http"]
        assert one.recorded() == (1, 0)

    asyncio.run(asyncio.wait_for(main(), 60))


@pytest.mark.slow
def test_a_refusal_that_cannot_be_recorded_is_in_the_next_summary(tmp_path: Path) -> None:
    async def main() -> None:
        one = Recorder(tmp_path, admitted=2)
        async with one:
            await one.refuse()
            one.path.rename(tmp_path / "away")
            await one.refuse(3)
            await one.recorder.summarise()
            (tmp_path / "away").rename(one.path)
            while one.log.closed_because is not None:
                await asyncio.sleep(0.01)
            await one.refuse(4)
            await one.recorder.close()
        assert one.recorded() == (1, 7)

    asyncio.run(asyncio.wait_for(main(), 60))


def test_a_summary_cut_short_by_the_end_is_still_written_once(tmp_path: Path) -> None:
    async def main() -> None:
        one = Recorder(tmp_path, admitted=1)
        async with one:
            await one.refuse(5)
            summing = asyncio.create_task(one.recorder.summarise_forever())
            async with asyncio.timeout(30):
                while not one.recorder._summing.locked():
                    await asyncio.sleep(0)
            summing.cancel()
            await asyncio.gather(summing, return_exceptions=True)
            await one.refuse(2)
            await one.recorder.close()
        assert one.recorded() == (1, 6)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(refusals, "SUMMARY_SECONDS", 0)
        asyncio.run(asyncio.wait_for(main(), 60))


def test_a_caller_whose_refusal_is_cut_short_is_still_recorded(tmp_path: Path) -> None:
    async def main() -> None:
        one = Recorder(tmp_path)
        async with one:
            refusing = asyncio.create_task(one.refuse())
            await asyncio.sleep(0)
            refusing.cancel()
            await asyncio.gather(refusing, return_exceptions=True)
        assert one.recorded() == (1, 0)

    asyncio.run(asyncio.wait_for(main(), 60))


def test_what_the_last_summary_cannot_hold_is_in_the_security_log(tmp_path: Path) -> None:
    async def main() -> None:
        one = Recorder(tmp_path)
        async with one:
            one.path.rename(tmp_path / "away")
            await one.refuse(3)
            await one.recorder.close()
        assert " ERROR refusals_not_summed_up total=3\n" in one.events.read_text()

    asyncio.run(asyncio.wait_for(main(), 60))


@pytest.mark.slow
def test_more_kinds_of_refusal_than_a_summary_names_are_still_counted(tmp_path: Path) -> None:
    async def main() -> None:
        one = Recorder(tmp_path, admitted=0)
        async with one:
            for number in range(MAX_KINDS + 50):
                one.recorder.count("not_found" if number else "gone", f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}")
            await one.refuse(7, "10.0.0.1")
            await one.recorder.close()
        assert one.recorded() == (0, MAX_KINDS + 57)
        summary = json.loads(one.path.read_bytes().splitlines()[-1])["details"]
        assert len(summary["refusals"]) == refusals.MAX_ROWS
        assert summary["refusals"][1] == {"address": "10.0.0.1", "code": "not_found", "count": 8}
        assert summary["networks"] == MAX_KINDS
        assert summary["codes"] == {"gone": 1, "not_found": MAX_KINDS + 6, "other": 50}
        assert summary["others"] == summary["total"] - sum(row["count"] for row in summary["refusals"])

    asyncio.run(asyncio.wait_for(main(), 60))


def test_one_process_sums_up_for_all_and_each_when_it_stops(tmp_path: Path) -> None:
    async def main() -> None:
        one = Recorder(tmp_path, admitted=0, sums=False)
        async with one:
            await one.refuse(2)
            await one.recorder.summarise()
            assert one.recorded() == (0, 0)
            await one.recorder.close()
        assert one.recorded() == (0, 2)

    asyncio.run(asyncio.wait_for(main(), 60))


@pytest.mark.slow
def test_what_shared_memory_does_not_take_is_summed_up_all_the_same(tmp_path: Path) -> None:
    async def main() -> None:
        one = Recorder(tmp_path, admitted=0)
        async with one:
            await one.refuse(2)
            with held(tmp_path):
                await one.refuse(3)
                await one.recorder.summarise()
                assert one.recorded() == (0, 3)
                await one.refuse(4)
            await one.recorder.close()
        assert one.recorded() == (0, 9)

    asyncio.run(asyncio.wait_for(main(), 60))


@pytest.mark.slow
def test_what_neither_shared_memory_nor_the_log_takes_is_summed_up_later(tmp_path: Path) -> None:
    async def main() -> None:
        one = Recorder(tmp_path, admitted=0)
        async with one:
            with held(tmp_path):
                await one.refuse(3)
                one.path.rename(tmp_path / "away")
                assert await one.recorder.summarise() == 3
                (tmp_path / "away").rename(one.path)
                while one.log.closed_because is not None:
                    await asyncio.sleep(0.01)
                assert await one.recorder.summarise() == 0
        assert one.recorded() == (0, 3)

    asyncio.run(asyncio.wait_for(main(), 60))


def test_what_a_process_keeps_is_told_apart_up_to_a_bound(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(refusals, "MAX_KINDS", 2)
    monkeypatch.setattr(SharedCounts, "add", lambda counts, counted: _fail())

    async def main() -> None:
        one = Recorder(tmp_path, admitted=0)
        async with one:
            for end in (1, 1, 2, 3, 1):
                await one.refuse(address=f"203.0.113.{end}")
            await one.recorder.summarise()
        (summary,) = [json.loads(line) for line in one.path.read_bytes().splitlines()[1:]]
        assert summary["details"]["codes"] == {"not_found": 4, "other": 1}
        assert summary["details"]["networks"] == 2

    asyncio.run(asyncio.wait_for(main(), 60))


def test_a_summary_that_may_be_in_the_log_is_repeated_with_its_id(tmp_path: Path) -> None:
    async def main() -> None:
        one = Recorder(tmp_path, admitted=0)
        async with one:
            await one.refuse(3)
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(SharedCounts, "done", lambda counts, batch: _fail())
                await one.recorder.summarise()
            await one.recorder.summarise()
        first, second = [json.loads(line) for line in one.path.read_bytes().splitlines()[1:]]
        assert (first["request_id"], first["details"]) == (second["request_id"], second["details"])

    asyncio.run(asyncio.wait_for(main(), 60))


def _fail() -> None:
    raise LimitsUnavailable(retry_after=1)


DETAILS = {"status": 404, "code": "not_found", "method": "GET", "route": "/a", "address": "203.0.113.1", "reason": "r"}


def test_a_refusal_is_recorded_as_it_was_and_told_to_the_security_log(tmp_path: Path) -> None:
    one = Recorder(tmp_path, admitted=3)

    async def main() -> None:
        async with one:
            await one.recorder.record(user_id=None, request_id="1" * 32, details={**DETAILS, "key_id": "k", "path": "/b"})
            await one.recorder.record(user_id="alice", request_id="2" * 32, details=DETAILS, policy=True)

    asyncio.run(main())
    records = [json.loads(line) for line in one.path.read_bytes().splitlines()][1:]
    assert [[record[name] for name in ("action", "user_id", "request_id", "details")] for record in records] == [
        ["request.refused", None, "1" * 32, {**DETAILS, "key_id": "k", "path": "/b"}],
        ["ask.refused", "alice", "2" * 32, DETAILS],
    ]
    shown = "status=404 method=GET route=/a reason=r"
    assert [line.partition(" ")[2] for line in one.events.read_text().splitlines()] == [
        f"WARNING not_found address=203.0.113.1 request_id={'1' * 32} {shown} key_id=k",
        f"WARNING not_found user_id=alice address=203.0.113.1 request_id={'2' * 32} {shown}",
    ]


def test_a_summary_tells_who_was_refused_how_often_and_why(tmp_path: Path) -> None:
    one = Recorder(tmp_path, admitted=0)

    async def main() -> None:
        async with one:
            for address in ("203.0.113.1", "203.0.113.1", "203.0.113.2"):
                await one.refuse(address=address)
            for _ in range(2):
                await one.recorder.record(user_id="alice", request_id="0" * 32, details={**DETAILS, "code": "rate_limited"})
            one.recorder.count("malformed_http", "203.0.113.1")
            for number in range(refusals.MAX_ROWS):
                one.recorder.count("malformed_http", f"198.51.100.{number}")
            assert await one.recorder.summarise() == 0
            assert await one.recorder.summarise() == 0, "nothing is left, so nothing is recorded"

    asyncio.run(main())
    (summary,) = [json.loads(line) for line in one.path.read_bytes().splitlines()][1:]
    details = summary["details"]
    assert (summary["action"], summary["user_id"]) == ("request.refused_summary", None)
    alice, network = {"user_id": "alice", "code": "rate_limited"}, {"address": "203.0.113.1", "code": "not_found"}
    assert sorted(details["refusals"][:2], key=str) == [network | {"count": 2}, alice | {"count": 2}]
    assert [len(details["refusals"]), details["total"], details["others"], details["networks"]] == [20, 26, 4, 22]
    assert details["codes"] == {"not_found": 3, "rate_limited": 2, "malformed_http": 21}
    assert one.events.read_text().partition(" ")[2] == "WARNING refusals_summed_up total=26\n"


def test_a_last_summary_that_fails_leaves_its_total_in_the_security_log(tmp_path: Path) -> None:
    one = Recorder(tmp_path, admitted=0)

    async def main() -> None:
        async with one:
            await one.refuse(3)
            one.path.rename(tmp_path / "away")
            await one.recorder.close()
            (tmp_path / "away").rename(one.path)

    asyncio.run(main())
    assert " ERROR refusals_not_summed_up total=3\n" in one.events.read_text()
