"""SecurityManager: who may, and what was done. A thin facade over tokens, clients and the audit log."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ..audit.format.record import Receipt
from ..audit.log import AuditLog
from ..errors import Unavailable
from .models import Client, Principal, Revocations
from .oauth_errors import InvalidScope
from .security_log import SecurityLog
from .tokens.issuer import IssuedToken, TokenIssuer
from .tokens.verifier import TokenVerifier

if TYPE_CHECKING:  # SQLAlchemy takes 0.2 s to import
    from .clients.store import ClientStore

LOG = logging.getLogger("app.security")
RELOAD_SECONDS = 0.5


class SecurityManager:
    """Issues and verifies tokens, and writes down what was done.

    `generate_token` and `verify_token` ask no database: revocations and disabled clients are a set in memory, which
    `follow_denials` keeps at most a second behind the database.
    """

    def __init__(
        self,
        *,
        issuer: TokenIssuer,
        verifier: TokenVerifier,
        clients: ClientStore,
        audit: AuditLog,
        events: SecurityLog,
        denied: Revocations | None = None,
    ) -> None:
        self._issuer, self._verifier, self._clients = issuer, verifier, clients
        self._audit = audit
        self._events = events
        self._denied = denied or Revocations(0, frozenset(), frozenset())
        self.is_following = True
        """Whether revocations and disabled clients are up to date: False while the database cannot be read."""

    def generate_token(self, user_id: str, roles: Sequence[str]) -> str:
        """A signed token for *user_id*. Raises InvalidUser or InvalidRoles (ValueErrors). It is not recorded: see grant_token."""
        return self._issuer.issue(user_id, roles).access_token

    def verify_token(self, token: str) -> Principal:
        """The proven bearer. Raises a TokenError (a ValueError) whose class and code say which check failed."""
        return self._verifier.verify(token, self._denied)

    async def log_action(
        self, user_id: str | None, action: str, details: Mapping[str, Any], *, request_id: str | None = None
    ) -> Receipt:
        """Durable on return. Raises ValueError for an action outside the closed list, AuditUnavailable if not written."""
        return await self._audit.record(action, user_id=user_id, details=details, request_id=request_id)

    async def authenticate_client(self, client_id: str, secret: str) -> Client:
        """The client whose secret this is. Raises InvalidClient, whose reason is for the record; Unavailable."""
        return await self._clients.authenticate(client_id, secret)

    async def grant_token(self, client: Client, scope: str | None, *, request_id: str, address: str | None) -> IssuedToken:
        """A token for an authenticated client (RFC 6749, section 4.4), recorded before it leaves.

        *scope*: the roles wanted, separated by single spaces; None for all. Raises InvalidScope, AuditUnavailable.
        """
        roles = client.roles
        if scope is not None:
            wanted = scope.split(" ")
            if not set(wanted) <= set(roles):
                raise InvalidScope()
            roles = tuple(role for role in roles if role in wanted)
        issued = self._issuer.issue(client.client_id, roles)
        details = {"jti": issued.jti, "roles": list(roles), "expires_in": issued.expires_in, "address": address}
        await self.log_action(client.client_id, "token.issued", details, request_id=request_id)
        self._events.event("token_issued", user_id=client.client_id, jti=issued.jti, address=address, request_id=request_id)
        return issued

    def log_answered(self, user_id: str, request_id: str, model: str, tokens: tuple[int, int] | None) -> None:
        """A line in the security log for an answer that was recorded: what it cost, and nothing of what was said."""
        input_tokens, output_tokens = tokens or (None, None)
        self._events.event(
            "ask_answered",
            user_id=user_id,
            request_id=request_id,
            model=model,
            input_tokens=input_tokens,
            output_tokens=output_tokens,
        )

    async def load_revocations(self) -> None:
        """Raises Unavailable when the database cannot be read."""
        self._denied = await self._clients.denied()

    async def follow_revocations(self) -> None:
        """Runs until cancelled. While the database cannot be read, the last known set holds, and the log says so."""
        while True:
            await asyncio.sleep(RELOAD_SECONDS)
            try:
                if await self._clients.generation() != self._denied.generation:
                    await self.load_revocations()
                if not self.is_following:
                    self._events.event("clients_database_back")
                self.is_following = True
            except Unavailable as error:
                if self.is_following:
                    LOG.error("Revocations are not up to date: %s", error.detail)
                    self._events.event("clients_database_unreachable", level="ERROR", reason=error.detail)
                self.is_following = False
