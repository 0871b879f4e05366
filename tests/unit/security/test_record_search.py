"""Whose records may be searched: one's own, or all with the role of auditors."""

from __future__ import annotations

import pytest

from app.audit.index.search import Filter
from app.errors import InsufficientScope
from app.security.models import Principal
from app.security.record_search import allowed, verify_still_allowed, whose_sums
from app.security.roles import ADMIN, ASK, AUDIT_READER


def principal(*roles: str) -> Principal:
    return Principal("alice", roles, "alice", "0", 1)


def test_without_the_role_a_search_is_for_ones_own_records() -> None:
    assert allowed(principal(ASK), Filter(text="x")) == Filter(text="x", user="alice")
    assert allowed(principal(ASK, ADMIN), Filter(user="alice")) == Filter(user="alice")
    with pytest.raises(InsufficientScope):
        allowed(principal(ASK, ADMIN), Filter(user="bobby"))


def test_an_auditor_searches_all() -> None:
    assert allowed(principal(AUDIT_READER), Filter()) == Filter()
    assert allowed(principal(AUDIT_READER), Filter(user="bobby")).user == "bobby"


def test_a_feed_of_others_ends_with_the_role_and_one_of_ones_own_goes_on() -> None:
    for wanted in (Filter(), Filter(user="bobby")):
        verify_still_allowed(principal(AUDIT_READER), wanted)
        with pytest.raises(InsufficientScope):
            verify_still_allowed(principal(ASK), wanted)
    verify_still_allowed(principal(), Filter(user="alice"))


def test_sums_of_all_are_for_auditors_and_admins() -> None:
    assert [whose_sums(principal(role), None) for role in (ASK, AUDIT_READER, ADMIN)] == ["alice", None, None]
    assert whose_sums(principal(ADMIN), "bobby") == "bobby"
    with pytest.raises(InsufficientScope):
        whose_sums(principal(ASK), "bobby")
