"""The id of a token: its `jti`, repeated as `nonce`.

128 random bits in 32 lower-case hex digits.
"""

from __future__ import annotations

import re
import secrets
from typing import TypeGuard

from ...errors import InvalidRequest

_JTI = re.compile(r"[0-9a-f]{32}")


def new_jti() -> str:
    return secrets.token_hex(16)


def is_jti(value: object) -> TypeGuard[str]:
    return isinstance(value, str) and _JTI.fullmatch(value) is not None


def verify_jti(value: object) -> None:
    """For an id that a person has typed. Raises InvalidRequest."""
    if not is_jti(value):
        raise InvalidRequest("A jti is 32 hex digits (0-9 a-f). The token and its token.issued record contain it.")
