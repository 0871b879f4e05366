"""The rules for user ids and lists of roles. The whole value must match."""

from __future__ import annotations

from typing import TypeGuard

from ..audit.format.record import USER_ID
from ..catalogue.role_names import is_role
from .token_errors import InvalidRoles, InvalidUser

ASK = "ai.playground.user"
AUDIT_READER = "ai.audit.reader"
INTROSPECT = "ai.token.introspect"
ADMIN = "ai.admin"
ENDPOINT_ROLES = (ASK, AUDIT_READER, INTROSPECT, ADMIN)
"""Those that an endpoint asks for; the policy file may name more."""

ADD_CLIENT = "clients add alice --key"
"""The command that makes a client with a key, as an example that runs."""

MAX_ROLES = 32
"""Bounds the size of a token, which names each role twice."""


def is_user_id(value: object) -> TypeGuard[str]:
    return isinstance(value, str) and USER_ID.fullmatch(value) is not None


def verify_user_id(value: object) -> str:
    """Return *value* if it is a user id. Raises InvalidUser, also for a value of another type."""
    if not is_user_id(value):
        raise InvalidUser
    return value


def verify_roles(value: object) -> tuple[str, ...]:
    """Return the roles of a list or tuple, each once, in the order of their first mention.

    Raises InvalidRoles for an empty list, another type, more than 32 roles (repeated ones count),
    or a value that is not a role.
    """
    if not isinstance(value, list | tuple) or not 0 < len(value) <= MAX_ROLES:
        raise InvalidRoles
    if not all(map(is_role, value)):
        raise InvalidRoles
    return tuple(dict.fromkeys(value))
