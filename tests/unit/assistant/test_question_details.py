"""The record of a question: who asks what, and what budgets hold for it."""

from __future__ import annotations

from dataclasses import replace

from app.assistant.question_details import asserted_user, details_of
from app.security.asserted_user import AssertedUser

from ...support.asking import PRINCIPAL, origin, prepared

RESERVED = [{"id": "all/day/tokens", "period": "2026-11-26", "amount": 5}]


def test_what_budgets_hold_stands_before_the_credential() -> None:
    details = details_of(prepared(), PRINCIPAL, origin(), None, RESERVED)
    assert list(details)[-2:] == ["reserved", "credential"]
    assert details["reserved"] == RESERVED
    assert "reserved" not in details_of(prepared(), PRINCIPAL, origin(), None)


def test_a_user_whom_a_front_end_names_is_told_as_such() -> None:
    named = replace(origin(), asserted_user=AssertedUser("u1", "x-user"))
    assert asserted_user(named) == {"asserted_user": {"id": "u1", "source": "x-user"}}
    assert asserted_user(origin()) == {}
