"""Once a second a worker renews its mark, and one of them reports that the notary stands still."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from app.audit.evidence import health as health_module
from app.audit.evidence.health import LogHealth
from app.audit.storage.running import is_running, marked_running
from app.security.security_log import SecurityLog
from app.wiring import health_watch as module
from app.wiring.health_watch import watch_health

from ...support.waiting import until


def events_in(folder: Path) -> list[str]:
    path = folder / "security.log"
    return [line.split()[2] for line in path.read_text().splitlines()] if path.exists() else []


@pytest.mark.parametrize("reports", [True, False])
def test_a_notary_that_stands_still_is_told_once_by_one_worker(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, reports: bool
) -> None:
    monkeypatch.setattr(module, "WATCH_SECONDS", 0.01)
    monkeypatch.setattr(health_module, "STILL_SECONDS", 0.2)
    health, events, log = LogHealth(), SecurityLog(tmp_path / "security.log"), tmp_path / "log.jsonl"

    async def main() -> None:
        with marked_running(log) as mark:
            watching = asyncio.create_task(watch_health(health, mark, events, reports=reports))
            (tmp_path / "log.jsonl.running").unlink()
            await until(lambda: is_running(log) and health.stands_still and len(events_in(tmp_path)) == (2 if reports else 1))
            health.beat()
            await until(lambda: len(events_in(tmp_path)) == (3 if reports else 1))
            watching.cancel()

    asyncio.run(main())
    events.close()
    assert events_in(tmp_path) == ["running_mark_restored", *(["notary_stands_still", "notary_moves_again"] if reports else [])]
