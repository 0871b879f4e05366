"""A record too long for a line: what it lacks is durable before it, the loop runs on, and a disk that hangs keeps nobody."""

from __future__ import annotations

import asyncio
import hashlib
import json
import logging
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from app.audit.format.record import Receipt
from app.audit.log import AuditLog
from app.audit.storage.long_records import MAX_THREADS
from app.audit.storage.long_texts import LongTexts
from app.audit.verification.kept_texts import TextsReport
from app.errors import AuditUnavailable, LongTextUnavailable

from ....support.checked import chain_report, check_texts
from ....support.paths import ROOT
from ....support.stores import open_store
from ....support.waiting import run_in_time, until

TIMEOUT = 0.4
LONG = "long " * 20_000


class SlowTexts(LongTexts):
    """Its disk hangs until it is let go."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.let_go = threading.Event()
        self.hanging = 0

    def keep(self, texts: Mapping[str, bytes]) -> None:
        self.hanging += 1
        assert self.let_go.wait(60)
        super().keep(texts)


@asynccontextmanager
async def recording(
    folder: Path, texts: LongTexts | None, changes: list[str] | None = None, timeout: float = 30.0
) -> AsyncIterator[AuditLog]:
    def note(event: str, detail: str) -> None:
        if changes is not None:
            changes.append(event)

    store = open_store(folder / "audit_log.jsonl")
    log = AuditLog(store, timeout_seconds=timeout, on_change=note, long_texts=texts)
    log.create({"origin": "test"})
    async with log:
        yield log
    log.close()


async def record(log: AuditLog, text: str) -> Receipt:
    return await log.record("ask.received", user_id="alice", details={"query": text, "model": "small"})


def lines(folder: Path) -> list[bytes]:
    return (folder / "audit_log.jsonl").read_bytes().splitlines(keepends=True)


def queries(folder: Path) -> list[Any]:
    return [json.loads(line)["details"].get("query") for line in lines(folder)[1:]]


def threads_of_long_records() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "long-record"]


def digest_of(text: str) -> dict[str, Any]:
    return {"sha256": hashlib.sha256(text.encode()).hexdigest(), "bytes": len(text.encode())}


# --- what is kept --------------------------------------------------------------------------------


def test_a_long_text_is_kept_whole_before_the_record_that_names_it(tmp_path: Path) -> None:
    texts = SlowTexts(tmp_path / "audit_log.texts")

    async def main() -> None:
        async with recording(tmp_path, texts) as log:
            waiting = asyncio.create_task(record(log, LONG))
            await until(lambda: texts.hanging == 1)
            await record(log, "short")  # and nobody waits behind it
            assert queries(tmp_path) == ["short"]
            texts.let_go.set()
            receipt = await waiting
            assert chain_report(log, [receipt]).findings == []
        assert queries(tmp_path) == ["short", digest_of(LONG)]
        assert check_texts(texts, lines(tmp_path)) == TextsReport(kept=1)
        assert texts.path_of(digest_of(LONG)["sha256"]).read_text() == LONG

    run_in_time(main())


def test_without_a_folder_the_digest_is_all_that_is_left(tmp_path: Path) -> None:
    async def main() -> None:
        async with recording(tmp_path, None) as log:
            await asyncio.gather(record(log, LONG), *(record(log, LONG + str(n)) for n in range(3 * MAX_THREADS)))
        assert digest_of(LONG) in queries(tmp_path)
        assert len(queries(tmp_path)) == 1 + 3 * MAX_THREADS
        assert [path.name for path in tmp_path.iterdir() if path.is_dir()] == []

    run_in_time(main())


def test_what_fits_is_kept_nowhere_else(tmp_path: Path) -> None:
    async def main() -> None:
        texts = LongTexts.beside(tmp_path / "audit_log.jsonl")
        async with recording(tmp_path, texts) as log:
            await record(log, "x" * 60_000)
        assert queries(tmp_path) == ["x" * 60_000]
        assert not texts.folder.exists()

    run_in_time(main())


@pytest.mark.parametrize("action", ["ask.unknown", "ask.received"])
def test_a_long_record_that_is_invalid_raises_and_keeps_nothing(tmp_path: Path, action: str) -> None:
    async def main() -> None:
        texts = LongTexts.beside(tmp_path / "audit_log.jsonl")
        async with recording(tmp_path, texts) as log:
            with pytest.raises(ValueError):
                await log.record(action, user_id="not one", details={"query": LONG})
        assert not texts.folder.exists()

    run_in_time(main())


@pytest.mark.parametrize("text", ["short", LONG], ids=["short", "long"])
def test_a_record_that_is_encoded_in_a_thread_is_the_same(tmp_path: Path, text: str) -> None:
    async def main() -> None:
        texts = LongTexts.beside(tmp_path / "audit_log.jsonl")
        async with recording(tmp_path, texts) as log:
            await log.record("ask.received", user_id="alice", details={"query": text}, is_long=True)
            with pytest.raises(ValueError, match="not JSON"):
                await log.record("ask.received", user_id="alice", details={"query": {text}}, is_long=True)
        assert queries(tmp_path) == [text if text == "short" else digest_of(text)]
        assert texts.folder.exists() == (text == LONG)

    run_in_time(main())


# --- what fails ----------------------------------------------------------------------------------


def test_a_text_that_cannot_be_kept_refuses_its_record_and_no_other(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    texts = LongTexts.beside(tmp_path / "audit_log.jsonl")
    changes: list[str] = []

    async def main() -> None:
        texts.folder.write_text("a file")
        async with recording(tmp_path, texts, changes) as log:
            with caplog.at_level(logging.ERROR):
                for _ in range(2 * MAX_THREADS):  # each frees its thread
                    with pytest.raises(LongTextUnavailable) as refused:
                        await record(log, LONG)
                    assert refused.value.detail == AuditUnavailable.detail  # the reason is the operator's
            await record(log, "short")
            assert log.closed_because is None
            texts.folder.unlink()
            await record(log, LONG)
        assert queries(tmp_path) == ["short", digest_of(LONG)]
        assert changes == ["long_texts_not_kept", "long_texts_kept_again"]
        assert [one.getMessage() for one in caplog.records if "Not a directory" in one.getMessage()] == [caplog.messages[0]]

    run_in_time(main())


@pytest.mark.slow
def test_while_the_disk_of_the_texts_hangs_callers_are_refused_in_time(tmp_path: Path) -> None:
    texts = SlowTexts(tmp_path / "texts")

    async def main() -> None:
        async with recording(tmp_path, texts, timeout=TIMEOUT) as log:
            for _ in range(2):
                askers = (record(log, LONG + str(n)) for n in range(2 * MAX_THREADS))
                outcomes = await asyncio.gather(*askers, return_exceptions=True)
                assert [type(one) for one in outcomes] == [LongTextUnavailable] * 2 * MAX_THREADS
                assert len(threads_of_long_records()) == texts.hanging == MAX_THREADS
            await record(log, "short")
            texts.let_go.set()
            await until(lambda: not threads_of_long_records())
            await record(log, LONG)
        assert queries(tmp_path) == ["short", digest_of(LONG)]  # nothing of those who were refused
        assert check_texts(texts, lines(tmp_path)) == TextsReport(kept=1)

    run_in_time(main())


def test_a_caller_who_disconnects_leaves_no_record_and_frees_the_thread(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    texts = SlowTexts(tmp_path / "texts")

    async def main() -> None:
        async with recording(tmp_path, texts) as log:
            waiting = [asyncio.create_task(record(log, LONG + str(n))) for n in range(2 * MAX_THREADS)]
            await until(lambda: texts.hanging == MAX_THREADS)
            for one in waiting:
                one.cancel()
            await asyncio.wait(waiting)
            assert all(one.cancelled() for one in waiting)
            texts.let_go.set()
            await asyncio.gather(*(record(log, LONG) for _ in range(2 * MAX_THREADS)))
        assert queries(tmp_path) == [digest_of(LONG)] * 2 * MAX_THREADS
        assert caplog.messages == []

    run_in_time(main())


@pytest.mark.slow
def test_while_the_log_is_closed_a_long_record_keeps_nothing(tmp_path: Path) -> None:
    async def main() -> None:
        texts = LongTexts(tmp_path / "texts")
        async with recording(tmp_path, texts) as log:
            (tmp_path / "audit_log.jsonl").rename(tmp_path / "away")
            with pytest.raises(AuditUnavailable):
                await record(log, "short")
            with pytest.raises(AuditUnavailable):
                await record(log, LONG)
            assert not texts.folder.exists()
            (tmp_path / "away").rename(tmp_path / "audit_log.jsonl")
            await until(lambda: log.closed_because is None)
            await record(log, LONG)

    run_in_time(main())


@pytest.mark.filterwarnings("error::pytest.PytestUnhandledThreadExceptionWarning")
@pytest.mark.slow
def test_a_log_whose_texts_hang_can_be_closed_and_its_loop_ended(tmp_path: Path) -> None:
    texts = SlowTexts(tmp_path / "texts")

    async def main() -> None:
        async with recording(tmp_path, texts, timeout=TIMEOUT) as log:
            with pytest.raises(AuditUnavailable):
                await record(log, LONG)

    run_in_time(main())
    texts.let_go.set()  # its loop is gone: the thread ends all the same
    for thread in threads_of_long_records():
        thread.join(60)
    assert threads_of_long_records() == []


ENDING = """
import asyncio, sys, threading
from pathlib import Path
from app.errors import AuditUnavailable, LongTextUnavailable
from app.audit.storage.jsonl import JsonlStore
from app.audit.log import AuditLog
from app.audit.storage.long_texts import LongTexts
class HungTexts(LongTexts):
    def keep(self, texts):
        threading.Event().wait()
async def main():
    folder = Path(sys.argv[1])
    log = AuditLog(JsonlStore(folder / "log.jsonl"), timeout_seconds=0.2, long_texts=HungTexts(folder / "texts"))
    log.create({})
    async with log:
        try:
            await log.record("ask.received", user_id="alice", details={"query": "x" * 100_000})
        except AuditUnavailable:
            print("refused")
asyncio.run(main())
"""


def test_a_process_ends_while_the_disk_of_its_texts_hangs(tmp_path: Path) -> None:
    command = [sys.executable, "-c", ENDING, str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout) == (0, "refused\n"), done.stderr


def test_an_unexpected_error_refuses_the_record_and_is_logged(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    class BrokenTexts(LongTexts):
        def keep(self, texts: Mapping[str, bytes]) -> None:
            raise KeyError("the texts broke")

    async def main() -> None:
        async with recording(tmp_path, BrokenTexts(tmp_path / "texts")) as log:
            for _ in range(2 * MAX_THREADS):
                with pytest.raises(AuditUnavailable):
                    await record(log, LONG)
        assert queries(tmp_path) == []
        assert "the texts broke" in caplog.text

    run_in_time(main())
