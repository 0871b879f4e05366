"""Registered clients, their API keys, proven principals, and revocations."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Literal

NEVER = 2**53
"""A time in Unix seconds that no clock reaches: when a key without an end expires."""


@dataclass(frozen=True, slots=True)
class ClientSettings:
    """What an operator has set for one client; None where the settings of the service apply."""

    token_seconds: int | None = None
    """How long its access tokens live."""
    rpm: int | None = None
    """Its calls in a minute."""
    front_end: bool = False
    """Whether it may name the users that it asks for."""


DEFAULT_SETTINGS = ClientSettings()


@dataclass(frozen=True, slots=True)
class Client:
    """A registered client, without its secrets. *created_at* is in UTC, to the second."""

    client_id: str
    roles: tuple[str, ...]
    disabled: bool
    created_at: datetime
    settings: ClientSettings = DEFAULT_SETTINGS
    secrets: int = 1
    """How many secrets are live: 1 or 2."""


@dataclass(frozen=True, slots=True)
class ApiKey:
    """A key of a client, without its secret. Times are in UTC, to the second."""

    key_id: str
    client_id: str
    roles: tuple[str, ...]
    name: str | None
    rpm: int | None
    created_at: datetime
    expires_at: datetime | None
    revoked_at: datetime | None = None

    @property
    def ends_at(self) -> int:
        """When it expires, in Unix seconds; NEVER for none."""
        return NEVER if self.expires_at is None else int(self.expires_at.timestamp())

    def state(self, now: datetime) -> Literal["active", "expired", "revoked"]:
        if self.revoked_at is not None:
            return "revoked"
        return "expired" if self.expires_at is not None and now >= self.expires_at else "active"


@dataclass(frozen=True, slots=True)
class Principal:
    """The caller that a verified token or API key proves.

    *expires_at* is in Unix seconds (RFC 7519, section 4.1.4).
    """

    user_id: str
    roles: tuple[str, ...]
    client_id: str
    credential_id: str
    """The token's jti, or the id of the key."""
    expires_at: int
    kind: Literal["token", "key"] = "token"
    client_rpm: int | None = None
    """The client's own limit for a minute; None: RATE_LIMIT."""
    key_rpm: int | None = None
    """Of these, how many may come with this key."""
    client_roles: frozenset[str] = frozenset()
    """All roles of the client, where they are more than *roles*. They give no right."""

    @property
    def credential(self) -> str:
        """What proved it, as records name it."""
        return f"{self.kind}:{self.credential_id}"

    @property
    def key_limit(self) -> tuple[str, int] | None:
        """Of a key with a limit of its own: its id, and its calls in a minute."""
        return None if self.key_rpm is None else (self.credential_id, self.key_rpm)

    def has(self, role: str) -> bool:
        return role in self.roles


@dataclass(frozen=True, slots=True)
class Revocations:
    """What tokens and keys no longer prove.

    *revoked* holds jtis and key ids, *disabled* client ids. *roles*: what each client has now; a
    credential gives no other. *settings*: of clients that have their own. All are out of date once
    the database shows another *generation*. It may be a lower one, after a restore.
    """

    generation: int
    revoked: frozenset[str]
    disabled: frozenset[str]
    roles: Mapping[str, frozenset[str]] = field(default_factory=dict)
    expiries: Mapping[str, int] = field(default_factory=dict, compare=False)
    """When each of *revoked* expires, in Unix seconds."""
    settings: Mapping[str, ClientSettings] = field(default_factory=dict)

    def settings_of(self, client_id: str) -> ClientSettings:
        return self.settings.get(client_id, DEFAULT_SETTINGS)

    def as_of_now(self, principal: Principal) -> Principal:
        """*principal* with only the roles that its client still has, and its limits of today."""
        rpm, held = self.settings_of(principal.client_id).rpm, frozenset(principal.roles)
        current = self.roles.get(principal.client_id, held)
        if current == held and rpm == principal.client_rpm:
            return principal
        roles = tuple(role for role in principal.roles if role in current)
        more = current if len(roles) < len(current) else frozenset()
        return replace(principal, roles=roles, client_rpm=rpm, client_roles=more)
