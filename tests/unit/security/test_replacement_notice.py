"""Of all workers one records that the client database was replaced, and all tell what stays refused."""

from __future__ import annotations

import time

import pytest

from app.security.replacement_notice import ReplacementNotice


def test_one_worker_records_a_file_and_all_tell_what_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    notice = ReplacementNotice()
    assert [notice.is_first_to_see(one) for one in (5, 5, 6, 6, 5)] == [False, False, True, False, True]
    clock = [100.0]
    monkeypatch.setattr(time, "monotonic", lambda: clock[0])
    assert [notice.is_first_to_see_content(3) for _ in range(2)] == [True, False]
    clock[0] += 60
    assert notice.is_first_to_see_content(3), "the same content again, later"
    assert notice.kept == 0
    notice.note_kept(3, time.time() + 60)
    notice.note_kept(0, 0.0)
    assert notice.kept == 3
    later = time.time() + 61
    monkeypatch.setattr(time, "time", lambda: later)
    assert notice.kept == 0
