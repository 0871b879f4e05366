"""The form of a token's id."""

from __future__ import annotations

import pytest

from app.errors import InvalidRequest
from app.security.tokens.jti import is_jti, new_jti, verify_jti

GOOD = "0123456789abcdef" * 2


def test_an_id_is_32_lower_case_hex_digits() -> None:
    assert is_jti(GOOD)
    verify_jti(GOOD)
    for value in ("", GOOD[:-1], GOOD + "0", GOOD.upper(), GOOD + "\n", "g" * 32, None, 7, GOOD.encode()):
        assert not is_jti(value)
        with pytest.raises(InvalidRequest, match="32 hex digits"):
            verify_jti(value)


def test_new_ids_are_well_formed_and_differ() -> None:
    ids = {new_jti() for _ in range(200)}
    assert len(ids) == 200
    assert all(map(is_jti, ids))
