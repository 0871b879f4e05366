"""What the name of a role looks like."""

from __future__ import annotations

import re

MAX_ROLE_LENGTH = 64
"""Bounds the size of a token, which carries up to 32 roles."""
_ROLE = re.compile(r"[a-z.]+")


def is_role(value: object) -> bool:
    return isinstance(value, str) and len(value) <= MAX_ROLE_LENGTH and _ROLE.fullmatch(value) is not None
