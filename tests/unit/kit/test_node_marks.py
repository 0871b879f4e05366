"""Marks of settings: equal for equal values, telling nothing, and compared by name."""

from __future__ import annotations

from app.kit.node_marks import differing, marks_of

SECRET = "s" * 43
VALUES: dict[str, object] = {"RATE_LIMIT": 60, "SECRET_KEY": SECRET, "JWT_ISSUER": "a"}


def test_equal_settings_have_equal_marks_and_no_value_can_be_seen() -> None:
    marks = marks_of(VALUES, SECRET)
    assert marks == marks_of(dict(VALUES), SECRET)
    assert SECRET not in str(marks)
    assert len(set(marks.values())) == 3
    assert marks_of({"A": 1}, SECRET)["A"] != marks_of({"B": 1}, SECRET)["B"], "a mark belongs to its name"
    assert marks_of({"A": 1}, SECRET)["A"] != marks_of({"A": "1"}, SECRET)["A"]


def test_a_difference_is_told_by_name() -> None:
    marks = marks_of(VALUES, SECRET)
    assert differing(marks, marks_of({**VALUES, "RATE_LIMIT": 61}, SECRET), "SECRET_KEY") == ["RATE_LIMIT"]
    assert differing(marks, {}, "SECRET_KEY") == [], "another release may have other settings"


def test_another_secret_is_the_one_thing_worth_telling() -> None:
    other = marks_of({**VALUES, "SECRET_KEY": "t" * 43}, "t" * 43)
    assert differing(marks_of(VALUES, SECRET), other, "SECRET_KEY") == ["SECRET_KEY"]
