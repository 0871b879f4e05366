"""Registered clients, proven principals, and revocations."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime


@dataclass(frozen=True, slots=True)
class Client:
    """A registered client, without its secret. *created_at* is in UTC, to the second."""

    client_id: str
    roles: tuple[str, ...]
    disabled: bool
    created_at: datetime


@dataclass(frozen=True, slots=True)
class Principal:
    """The caller that a verified token proves.

    *expires_at* is in Unix seconds (RFC 7519, section 4.1.4).
    """

    user_id: str
    roles: tuple[str, ...]
    client_id: str
    jti: str
    expires_at: int

    def has(self, role: str) -> bool:
        return role in self.roles


@dataclass(frozen=True, slots=True)
class Revocations:
    """What tokens no longer prove: *revoked* holds jtis, *disabled* client ids.

    *roles*: what each client has now; a token gives no other. All are out of date once the
    database shows another *generation*. It may be a lower one, after a restore.
    """

    generation: int
    revoked: frozenset[str]
    disabled: frozenset[str]
    roles: Mapping[str, frozenset[str]] = field(default_factory=dict)
    expiries: Mapping[str, int] = field(default_factory=dict, compare=False)
    """When each of *revoked* expires, in Unix seconds."""
    front_ends: frozenset[str] = frozenset()
