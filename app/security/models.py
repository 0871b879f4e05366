"""What travels between the rooms of security: who is registered, who is asking, who may no longer."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class Client:
    """A registered client; its secret is not here. *created_at* is in UTC, to the second."""

    client_id: str
    roles: tuple[str, ...]
    disabled: bool
    created_at: datetime


@dataclass(frozen=True, slots=True)
class Principal:
    """Whom a verified token proves. *expires_at* is in Unix seconds, as `exp` is (RFC 7519, section 4.1.4)."""

    user_id: str
    roles: tuple[str, ...]
    client_id: str
    jti: str
    expires_at: int

    def has(self, role: str) -> bool:
        return role in self.roles


@dataclass(frozen=True, slots=True)
class Revocations:
    """What no token may be taken from: *revoked* holds `jti`s, *disabled* client ids.

    Another *generation* than the one in hand means: read again. It may be a lower one, after a restore.
    """

    generation: int
    revoked: frozenset[str]
    disabled: frozenset[str]
