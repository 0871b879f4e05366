"""A stored line as other systems get it: whole, or without its texts; in time, or not."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime, timedelta

import orjson
import pytest

from app.telemetry.siem.record import LoggedRecord, read_all, without_texts

from ....support.logged import DETAILS, TIME, lines, records

AT = datetime.fromisoformat(TIME)


def test_a_record_has_what_its_line_has() -> None:
    (line,) = lines("ask.received")
    record = LoggedRecord.read(line)
    assert (record.line, record.seq, record.action, record.user_id) == (line[:-1], 0, "ask.received", "alice")
    assert orjson.dumps(record.members) == line[:-1]
    assert record.moment == AT


NO_DAY = lines("log.alive")[0].replace(TIME[:10].encode(), b"2026-99-99")


@pytest.mark.parametrize("line", [b"", b"{}\n", b"[]\n", b"\xff\n", b'{"v":1,"seq":1,"details":3}\n', NO_DAY])
def test_what_is_no_record_is_refused(line: bytes) -> None:
    with pytest.raises(ValueError):  # orjson's sentence, or ours
        LoggedRecord.read(line)


def test_a_text_is_replaced_by_its_digest_and_the_rest_stays() -> None:
    found = without_texts(DETAILS["ask.received"])
    text = orjson.dumps(DETAILS["ask.received"]["messages"])
    assert found["messages"] == {"sha256": hashlib.sha256(text).hexdigest(), "bytes": len(text)}
    assert found["model"] == "small"
    assert b"recipe" not in orjson.dumps(found)
    for action in ("ask.answered", "ask.failed"):
        assert b"flo" not in orjson.dumps(records(action, with_texts=False)[0].members)


@pytest.mark.parametrize(
    ("since", "until", "is_in"),
    [(None, None, True), (AT, None, True), (AT + timedelta(microseconds=1), None, False), (None, AT, False),
     (datetime(2026, 11, 26, tzinfo=UTC), datetime(2026, 11, 27, tzinfo=UTC), True)],
)  # fmt: skip
def test_the_time_is_from_and_before(since: datetime | None, until: datetime | None, is_in: bool) -> None:
    found = list(read_all(iter(lines("log.opened")), since, until, with_texts=True))
    assert bool(found) is is_in


def test_lines_that_are_no_records_are_left_out() -> None:
    one, two = lines("log.opened", "log.alive")
    found = read_all(iter([one, b"garbage\n", two]), None, None, with_texts=True)
    assert [record.seq for record in found] == [0, 1]
