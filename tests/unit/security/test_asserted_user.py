"""A user that a caller names: bounded, printable, and never more than a name."""

from __future__ import annotations

import hashlib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.security.asserted_user import MAX_CHARS, AssertedUser, shown


def test_a_record_holds_id_and_source_and_what_else_was_taken() -> None:
    assert AssertedUser("u1", "user").members() == {"id": "u1", "source": "user"}
    full = AssertedUser.of(" u1 ", "x-forwarded-user", "ann@example.com", "  ")
    assert full is not None
    assert list(full.members().items()) == [("id", "u1"), ("source", "x-forwarded-user"), ("email", "ann@example.com")]


@pytest.mark.parametrize("value", [None, "", "  \t", 7, True, ["u1"], {"id": "u1"}])
def test_what_is_no_text_names_nobody(value: Any) -> None:
    assert AssertedUser.of(value, "user") is None


@pytest.mark.parametrize("value", ["u1", "ann@example.com", "Zoë", "6f1ed002-ab5a-4f0e-a1f5-5e1d1c2b3a49", "x" * MAX_CHARS])
def test_a_short_printable_id_is_kept(value: str) -> None:
    assert shown(value) == value


@pytest.mark.parametrize("value", ["x" * (MAX_CHARS + 1), "a\nb", "a\x00", "a\x1b[31m", "\ud83d", "a\u202eb"])
def test_any_other_is_its_digest(value: str) -> None:
    assert shown(value) == "sha256:" + hashlib.sha256(value.encode("utf-8", "surrogatepass")).hexdigest()


@given(st.text())
def test_every_id_is_printable_and_bounded(value: str) -> None:
    assert len(shown(value)) <= MAX_CHARS
    assert shown(value).isprintable()
