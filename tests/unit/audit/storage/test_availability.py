"""Whether the log takes records: closed once, reported once, opened only by a probe of the present closing."""

from __future__ import annotations

import pytest

from app.audit.storage.availability import PROBE_SECONDS, Availability, Probe
from app.errors import AuditUnavailable


class Changes(list[tuple[str, str]]):
    def note(self, event: str, detail: str) -> None:
        self.append((event, detail))


@pytest.fixture
def changes() -> Changes:
    return Changes()


@pytest.fixture
def availability(changes: Changes) -> Availability:
    return Availability(changes.note)


def test_it_is_open_at_first(availability: Availability, changes: Changes) -> None:
    assert availability.closed_because is None
    assert availability.closed_seconds() == 0.0
    assert changes == []


def test_the_first_reason_counts_and_is_reported_once(availability: Availability, changes: Changes) -> None:
    assert availability.close("the disk is full")
    assert not availability.close("the disk hangs")
    assert availability.closed_because == "the disk is full"
    assert availability.closed_seconds() > 0
    assert changes == [("audit_closed", "the disk is full")]


def test_a_refusal_says_when_to_come_back_and_not_why(availability: Availability) -> None:
    availability.close("the disk is full")
    error = availability.refusal()
    assert (error.retry_after, error.detail) == (2 * PROBE_SECONDS, AuditUnavailable.detail)


def test_a_probe_reports_how_many_were_refused_and_opens_the_log(availability: Availability, changes: Changes) -> None:
    availability.close("the disk is full")
    for _ in range(3):
        availability.refusal()
    probe = availability.probe()
    assert probe == Probe(refused=3, closings=1)
    availability.refusal()  # while the probe writes
    availability.reopen(probe)
    assert availability.closed_because is None
    assert changes[-1] == ("audit_resumed", "3 records were refused")
    availability.close("again")
    assert availability.probe() == Probe(refused=1, closings=2)  # the fourth is reported by the next


def test_a_log_that_was_closed_again_is_not_opened_by_an_older_probe(availability: Availability, changes: Changes) -> None:
    availability.close("the disk is full")
    old = availability.probe()
    availability.reopen(old)
    availability.close("the disk hangs")
    availability.reopen(old)
    assert availability.closed_because == "the disk hangs"
    assert [event for event, _ in changes] == ["audit_closed", "audit_resumed", "audit_closed"]
