"""The audit log at its place: who learns that it refuses records, and where long texts and signatures go."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from app.audit.evidence.log_key import store_signer
from app.audit.format.note import Signer
from app.errors import AuditUnavailable, ConfigError
from app.security.security_log import SecurityLog
from app.wiring.audit import open_audit, open_checkpoint_signer
from app.wiring.log_files import LogFiles


@pytest.fixture
def place(tmp_path: Path) -> LogFiles:
    return LogFiles(tmp_path / "audit_log.jsonl", tmp_path / "log.key", tmp_path / "security.log", 10_000_000)


def test_opening_a_log_opens_no_file(place: LogFiles, tmp_path: Path) -> None:
    open_audit(place, keeps_texts=True)
    assert list(tmp_path.iterdir()) == []


def test_a_log_that_closes_is_reported_and_logged_as_an_error(place: LogFiles) -> None:
    events, closed = SecurityLog(place.security_log_path), list[bool]()
    log = open_audit(place, events, closed.append)

    async def record() -> None:
        async with log:
            with pytest.raises(AuditUnavailable):
                await log.record("ask.received", user_id="alice", details={})

    asyncio.run(record())
    events.close()
    assert closed == [True]
    (line,) = place.security_log_path.read_text().splitlines()
    assert line.split(" ")[1:3] == ["ERROR", "audit_closed"]


@pytest.mark.parametrize("keeps_texts", [True, False])
def test_long_texts_are_kept_beside_the_log_only_if_wanted(place: LogFiles, keeps_texts: bool) -> None:
    log = open_audit(place, keeps_texts=keeps_texts)
    log.create({"origin": "example.com/log"})

    async def record() -> None:
        async with log:
            await log.record("ask.received", user_id="alice", details={"query": "x" * 100_000})
        log.close()

    asyncio.run(record())
    assert place.audit_log_path.with_suffix(".texts").exists() == keeps_texts


def test_a_signer_needs_a_usable_key(place: LogFiles) -> None:
    with pytest.raises(FileNotFoundError):
        open_checkpoint_signer(place)
    place.audit_key_path.write_bytes(b"no key")
    place.audit_key_path.chmod(0o600)
    with pytest.raises(ConfigError):
        open_checkpoint_signer(place)
    place.audit_key_path.unlink()
    store_signer(place.audit_key_path, Signer.generate("example.com/log"))
    assert open_checkpoint_signer(place)
