"""The form of a role's name."""

from __future__ import annotations

from app.catalogue.role_names import MAX_ROLE_LENGTH, is_role


def test_a_role_is_a_to_z_and_dots_up_to_its_longest() -> None:
    assert is_role("a" * MAX_ROLE_LENGTH)
    assert is_role(".")
    for value in ("a" * (MAX_ROLE_LENGTH + 1), "Ai", "ai1", "a\u00ef", "", None, 7, b"ai", ["ai"]):
        assert not is_role(value), value
