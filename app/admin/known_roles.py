"""Which roles mean something: those that an endpoint asks for, and those of the policy file."""

from __future__ import annotations

from collections.abc import Sequence
from difflib import get_close_matches
from pathlib import Path

from ..catalogue.policy_file import read_roles
from ..errors import InvalidRequest
from ..security.roles import ENDPOINT_ROLES

ALLOW_UNKNOWN = "--allow-unknown-role"


def verify_known(roles: Sequence[str], policy_file: Path | None, allow: str = ALLOW_UNKNOWN) -> None:
    """Raises InvalidRequest for a role that opens nothing, such as one that is mistyped.

    *allow*: what the sentence says to add for a role that is meant all the same.

    Raises ConfigError where the policy file is needed to tell and cannot be read.
    """
    known = set(ENDPOINT_ROLES)
    if policy_file is not None and not known.issuperset(roles):
        known |= read_roles(policy_file)
    for role in roles:
        if role not in known:
            raise InvalidRequest(
                f"No endpoint and no model asks for the role {role}: it gives a client nothing. {_advice(role, known)}, "
                f"or add {allow} if it is for later."
            )


def known_roles(policy_file: Path | None) -> list[str]:
    """All that open something. Raises ConfigError where the policy file cannot be read."""
    return sorted({*ENDPOINT_ROLES, *(read_roles(policy_file) if policy_file is not None else ())})


def _advice(role: str, known: set[str]) -> str:
    close = get_close_matches(role, sorted(known), 1)
    return f"Did you mean {close[0]}? Use that" if close else f"Use one of {', '.join(sorted(known))}"
