"""A worker beats until it stops, records that it took another's place, and says when it cannot count."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from app.api import worker_state as module
from app.api.scoreboard import Scoreboard
from app.api.worker_state import beat_forever, record_replacement, watch_limits
from app.limits.limits import Limits
from app.limits.rate_limits import Buckets
from app.limits.shared_folder import LOCK
from app.security.security_log import SecurityLog
from app.settings import Settings, load_settings
from app.wiring.audit import open_audit

from ...support import installation
from ...support.clean_settings import use_defaults
from ...support.waiting import until
from ...support.windows import remove_windows


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Settings]:
    use_defaults(monkeypatch, tmp_path)
    monkeypatch.setattr(module, "PROBE_SECONDS", 0.01)
    yield load_settings(audit_log_path=tmp_path / installation.LOG)
    remove_windows(tmp_path / installation.LOG)


def test_a_worker_beats_until_it_stops(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "BEAT_SECONDS", 0.01)
    scoreboard = Scoreboard(1)
    pulse = scoreboard.pulse(0)

    async def main() -> None:
        beating = asyncio.create_task(beat_forever(scoreboard.slot(0)))
        await until(lambda: pulse.beaten_at > 0)
        first = pulse.beaten_at
        await until(lambda: pulse.beaten_at > first)
        beating.cancel()
        await asyncio.gather(beating, return_exceptions=True)

    asyncio.run(main())
    assert pulse.beaten_at == 0


@pytest.mark.slow
def test_a_replacement_is_recorded_once_the_log_takes_it(settings: Settings) -> None:
    installation.init()
    events, scoreboard = SecurityLog(settings.security_log_path), Scoreboard(1)
    scoreboard.pulse(0).note_stood(4_000_000, 2.25)
    slot = scoreboard.slot(0)

    async def main() -> None:
        with closing(open_audit(settings, events)) as audit:
            audit.close_until_writable("a test")
            async with audit:
                await record_replacement(slot, audit, events)
                await record_replacement(slot, audit, events)

    asyncio.run(main())
    events.close()
    records = [json.loads(line) for line in installation.LOG.read_bytes().splitlines()]
    replaced = [one["details"] for one in records if one["action"] == "worker.replaced"]
    assert replaced == [{"pid": 4_000_000, "reason": "stands_still", "seconds": 2.25}]
    assert "ERROR worker_replaced pid=4000000 seconds=2.25" in settings.security_log_path.read_text()


def test_limits_that_cannot_be_counted_are_told_until_they_can(settings: Settings) -> None:
    events, scoreboard, buckets = SecurityLog(settings.security_log_path), Scoreboard(1), Buckets(settings)
    lock = buckets.shared.path / LOCK
    lock.mkdir()

    async def main() -> None:
        watching = asyncio.create_task(watch_limits(Limits(buckets), scoreboard.slot(0), events))
        await until(lambda: scoreboard.any_uncounted)
        lock.rmdir()
        await until(lambda: not scoreboard.any_uncounted)
        watching.cancel()

    settings.security_log_path.parent.mkdir(exist_ok=True)
    asyncio.run(main())
    events.close()
    buckets.close()
    told = [line.partition(" ")[2] for line in settings.security_log_path.read_text().splitlines()]
    reason = f"reason=\"[Errno 21] Is a directory: '{lock}'\" folder={lock.parent}"
    assert told == [f"ERROR limits_unavailable {reason}", "INFO limits_back"]


def test_a_server_of_limits_that_is_down_is_told_until_it_counts(settings: Settings) -> None:
    events, scoreboard = SecurityLog(settings.security_log_path), Scoreboard(1)
    with closing(Buckets(settings)) as buckets:
        limits = ServerThatFails(buckets)

        async def main() -> None:
            watching = asyncio.create_task(watch_limits(limits, scoreboard.slot(0), events))
            await until(lambda: scoreboard.any_alone)
            assert not scoreboard.any_uncounted, "questions are answered"
            limits.why = None
            await until(lambda: not scoreboard.any_alone)
            limits.began += 2
            looked = limits.looks
            await until(lambda: limits.looks > looked + 1)
            watching.cancel()

        settings.security_log_path.parent.mkdir(exist_ok=True)
        asyncio.run(main())
    events.close()
    told = [line.partition(" ")[2] for line in settings.security_log_path.read_text().splitlines()]
    alone = 'WARNING limits_alone reason="LIMITS_URL: no answer in time"'
    assert told == [alone, "INFO limits_back", "WARNING limits_interrupted times=2"]


class ServerThatFails(Limits):
    counts_alone = True
    why: str | None = "no answer in time"
    began, looks = 1, 0

    async def look(self) -> None:
        self.looks += 1

    @property
    def problem(self) -> str | None:
        return self.why

    @property
    def outages(self) -> int:
        return self.began
