"""What the signing loop tells all processes: sound or not, how old the head is, whether it moves."""

from __future__ import annotations

import pytest

from app.audit.evidence import health as module
from app.audit.evidence.health import STILL_SECONDS, LogHealth, Recheck
from app.errors import AuditCorrupt


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Its only member is the time, in seconds."""
    now = [1000.0]
    monkeypatch.setattr(module, "_now", lambda: round(now[0] * 1000))
    return now


def test_nothing_may_be_recorded_from_a_closing_to_the_next_opening() -> None:
    health = LogHealth()
    health.verify_sound()
    health.close("Record 7 is not what was signed.")
    assert health.problem == "Record 7 is not what was signed."
    with pytest.raises(AuditCorrupt, match="Record 7"):
        health.verify_sound()
    health.open()
    health.verify_sound()
    assert health.problem is None


def test_the_age_of_the_head_counts_from_its_signature(clock: list[float]) -> None:
    health = LogHealth()
    assert (health.size, health.head_age_seconds) == (0, None)
    health.note_checkpoint(300, 2.5)
    clock[0] += 1
    assert (health.size, health.head_age_seconds) == (300, 3.5)


def test_a_loop_that_does_not_move_stands_still_after_a_while(clock: list[float]) -> None:
    health = LogHealth()
    clock[0] += STILL_SECONDS
    assert not health.stands_still
    clock[0] += 0.1
    assert health.stands_still
    health.beat()
    assert not health.stands_still


def test_records_that_wait_too_long_for_a_signature_are_told(clock: list[float]) -> None:
    health = LogHealth()
    for _ in range(2):
        health.note_behind(True)
        clock[0] += STILL_SECONDS / 2
    assert not health.is_behind
    clock[0] += 0.1
    assert health.is_behind
    health.note_behind(False)
    assert not health.is_behind


def test_the_place_of_the_reader_and_the_loss_of_the_key_are_told() -> None:
    health = LogHealth()
    health.recheck = Recheck(5, 10, 2)
    health.is_key_lost = True
    assert (health.recheck, health.is_key_lost) == (Recheck(5, 10, 2), True)
