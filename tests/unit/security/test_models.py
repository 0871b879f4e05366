"""The proven caller, the registered client and the revocations: compared by value, never changed."""

from __future__ import annotations

from dataclasses import FrozenInstanceError, replace

import pytest

from app.security.models import ClientSettings, Principal, Revocations

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


def test_a_principal_has_the_limit_and_the_roles_that_its_client_has_now() -> None:
    now = Revocations(
        1, frozenset(), frozenset(), {"alice": frozenset(["ai.audit.reader"])}, settings={"alice": ClientSettings(rpm=9)}
    )
    changed = replace(PRINCIPAL, roles=(), client_rpm=9, client_roles=frozenset(["ai.audit.reader"]))
    assert now.as_of_now(PRINCIPAL) == changed
    assert not changed.has("ai.audit.reader")
    assert Revocations(1, frozenset(), frozenset()).as_of_now(PRINCIPAL) is PRINCIPAL, "nothing is copied where nothing differs"


def test_a_credential_is_named_by_its_kind_and_a_key_may_have_a_limit() -> None:
    key = replace(PRINCIPAL, kind="key", credential_id="a" * 11, key_rpm=5)
    assert (PRINCIPAL.credential, key.credential) == (f"token:{'0' * 32}", f"key:{'a' * 11}")
    assert (PRINCIPAL.key_limit, key.key_limit) == (None, ("a" * 11, 5))
