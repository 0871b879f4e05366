"""What a user id and a list of roles may look like, checked against the whole value (design section 4)."""

from __future__ import annotations

import re
from typing import TypeGuard

from ..errors import InvalidRoles, InvalidUser

ASK = "ai.playground.user"
AUDIT_READER = "ai.audit.reader"

MAX_ROLES = 32
MAX_ROLE_LENGTH = 64

_USER_ID = re.compile(r"[A-Za-z0-9_-]{3,32}")
_ROLE = re.compile(r"[a-z.]+")


def is_user_id(value: object) -> TypeGuard[str]:
    return isinstance(value, str) and _USER_ID.fullmatch(value) is not None


def verify_user_id(value: object) -> str:
    """Return *value* if it is a user id. Raises InvalidUser, for anything that is not a str as well."""
    if not is_user_id(value):
        raise InvalidUser
    return value


def verify_roles(value: object) -> tuple[str, ...]:
    """Return the roles of a list or tuple, repeated ones folded, in the order of their first mention.

    Raises InvalidRoles for an empty list, another type, more than 32 roles (counted before folding) or a role
    of more than 64 characters.
    """
    if not isinstance(value, list | tuple) or not 0 < len(value) <= MAX_ROLES:
        raise InvalidRoles
    for role in value:
        if not isinstance(role, str) or len(role) > MAX_ROLE_LENGTH or not _ROLE.fullmatch(role):
            raise InvalidRoles
    return tuple(dict.fromkeys(value))
