"""The proven caller, the registered client and the revocations: compared by value, never changed."""

from __future__ import annotations

from dataclasses import FrozenInstanceError

import pytest

from app.security.models import Principal, Revocations

PRINCIPAL = Principal("alice", ("ai.playground.user",), "alice", "0" * 32, 2**40)


def test_a_principal_has_exactly_its_own_roles() -> None:
    assert PRINCIPAL.has("ai.playground.user")
    assert not PRINCIPAL.has("ai.playground.use")
    assert not PRINCIPAL.has("ai.playground.user.more")
    assert not PRINCIPAL.has("")


def test_a_principal_cannot_be_changed() -> None:
    with pytest.raises(FrozenInstanceError):
        PRINCIPAL.roles = ("ai.audit.reader",)  # type: ignore[misc]


def test_revocations_differ_as_soon_as_their_generation_does() -> None:
    assert Revocations(1, frozenset(), frozenset()) == Revocations(1, frozenset(), frozenset())
    assert Revocations(1, frozenset(), frozenset()) != Revocations(2, frozenset(), frozenset())
