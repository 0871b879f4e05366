"""SecurityManager: who may call, and the record of what was done.

A thin facade over tokens, clients and log.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any

from ..audit.format.record import Receipt
from ..audit.log import AuditLog
from ..errors import Unavailable
from .api_keys.form import PREFIX
from .api_keys.verifier import KeyVerifier
from .clients.store import ClientStore
from .database_follower import DatabaseFollower
from .models import Client, Principal, Revocations
from .oauth_errors import InvalidScope
from .replacement_notice import ReplacementNotice
from .roles import INTROSPECT
from .security_log import SecurityLog
from .token_errors import TokenError
from .tokens.issuer import IssuedToken, TokenIssuer
from .tokens.verifier import TokenVerifier

LOG = logging.getLogger("app.security")
RELOAD_SECONDS = 0.5
"""Half of the second within which a revocation must take effect in every process."""


class SecurityManager:
    """Issues and verifies tokens, and records what was done.

    `generate_token` and `verify_token` read no database. Revocations, disabled clients and the
    settings of clients are kept in memory; `follow_revocations` keeps them at most a second behind.
    """

    def __init__(
        self,
        *,
        issuer: TokenIssuer,
        verifier: TokenVerifier,
        clients: ClientStore,
        audit: AuditLog,
        events: SecurityLog,
        notice: ReplacementNotice | None = None,
        token_seconds: float = 0.0,
        now: Callable[[], float] = time.time,
    ) -> None:
        """*token_seconds*: how long a token lives, unless its client has a setting of its own."""
        self._issuer, self._verifier, self._clients = issuer, verifier, clients
        self._audit = audit
        self._events = events
        self._keys = KeyVerifier(clients.keys, self.log_action, now)
        self._revocations = Revocations(0, frozenset(), frozenset())
        self._database = DatabaseFollower(clients, self.log_action, events, notice or ReplacementNotice(), token_seconds, now)
        self.news = asyncio.Event()
        """Set by who hears that the database was changed: it is read at once."""
        self.is_following = True
        """Whether the revocations are up to date: False while the database cannot be read."""

    def generate_token(self, user_id: str, roles: Sequence[str]) -> str:
        """A signed token, without a record: see grant_token.

        Raises InvalidUser or InvalidRoles (ValueErrors).
        """
        return self._issuer.issue(user_id, roles).access_token

    def verify_token(self, token: str) -> Principal:
        """The proven bearer.

        Raises a TokenError (a ValueError) whose class and code say which check failed.
        """
        return self._verifier.verify(token, self._revocations)

    def is_front_end(self, client_id: str) -> bool:
        """Whether the operator lets this client name the users that it asks for."""
        return self._revocations.settings_of(client_id).front_end

    async def verify_bearer(self, credential: str) -> Principal:
        """The proven bearer of a token or of an API key.

        A key that this process does not know yet is looked up in the database. Raises TokenError,
        Unavailable.
        """
        if credential.startswith(PREFIX):
            return await self._keys.verify(credential, self._revocations)
        return self.verify_token(credential)

    def log_action(
        self,
        user_id: str | None,
        action: str,
        details: Mapping[str, Any],
        *,
        request_id: str | None = None,
        is_long: bool = False,
    ) -> asyncio.Future[Receipt]:
        """Durable once awaited. *is_long*: *details* may be very long, and are encoded in a thread.

        Raises ValueError for an action outside the closed list, AuditUnavailable.
        """
        return self._audit.record(action, user_id=user_id, details=details, request_id=request_id, is_long=is_long)

    async def authenticate_client(self, client_id: str, secret: str) -> Client:
        """The client that *secret* proves.

        Raises InvalidClient, whose reason is for the record; Unavailable.
        """
        return await self._clients.authenticate(client_id, secret)

    async def grant_token(self, client: Client, scope: str | None, *, request_id: str, address: str | None) -> IssuedToken:
        """A token for an authenticated client (RFC 6749, section 4.4). Its record comes first.

        *scope*: the roles wanted, separated by spaces; None for all. Raises InvalidScope,
        AuditUnavailable.
        """
        roles = client.roles
        if scope is not None:
            wanted = [role for role in scope.split(" ") if role]
            if not wanted or not set(wanted) <= set(roles):
                raise InvalidScope()
            roles = tuple(role for role in roles if role in wanted)
        issued = self._issuer.issue(client.client_id, roles, client.settings.token_seconds)
        details = {"jti": issued.jti, "roles": list(roles), "expires_in": issued.expires_in, "address": address}
        await self.log_action(client.client_id, "token.issued", details, request_id=request_id)
        self._events.event("token_issued", user_id=client.client_id, jti=issued.jti, address=address, request_id=request_id)
        return issued

    async def introspect(self, client: Client, credential: str) -> Principal | None:
        """What a token or API key proves now (RFC 7662). None: nothing that *client* may know.

        It may know its own, or all with the role for that. Raises Unavailable.
        """
        try:
            principal = await self.verify_bearer(credential)
        except TokenError:
            return None
        may_know = principal.client_id == client.client_id or INTROSPECT in client.roles
        return principal if may_know else None

    async def revoke_credential(self, client_id: str, credential: str, *, request_id: str, address: str | None) -> None:
        """Revoke a token or API key of a client (RFC 7009). Its record comes first, and only once.

        Nothing happens to one that proves nothing, or belongs to another. Raises AuditUnavailable,
        Unavailable.
        """
        is_key, known = credential.startswith(PREFIX), self._revocations
        try:
            principal = await self._keys.verify(credential, known) if is_key else self._verifier.proof_of(credential).principal
        except TokenError:
            return
        credential_id = principal.credential_id
        if principal.client_id != client_id or credential_id in known.revoked:
            return
        named = {"key_id": credential_id, "client_id": client_id} if is_key else {"jti": credential_id}
        details = {**named, "by": "client", "address": address}
        events, kind = self._events, principal.kind

        async def record() -> None:
            await self.log_action(client_id, f"{kind}.revoked", details, request_id=request_id)
            events.event(f"{kind}_revoked", user_id=client_id, address=address, request_id=request_id, **named)

        await self._clients.revoke(credential_id, principal.expires_at, record)
        # This process need not wait until it reads the database again.
        self._revocations = replace(self._revocations, revoked=self._revocations.revoked | {credential_id})

    def log_answered(self, user_id: str, request_id: str, model: str, tokens: tuple[int, int] | None) -> None:
        """Write to the security log that an answer was recorded: model and tokens, no text."""
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
        """Raises Unavailable if the database cannot be read; what is in memory stays."""
        self._revocations = await self._database.load()

    async def follow_revocations(self) -> None:
        """Runs until cancelled.

        While the database cannot be read, the last known revocations apply.
        """
        while True:
            with suppress(TimeoutError):
                await asyncio.wait_for(self.news.wait(), RELOAD_SECONDS)
            self.news.clear()
            try:
                replacements = self._database.replacements
                self._revocations = await self._database.follow(self._revocations)
                if self._database.replacements != replacements:
                    self._keys.forget()
                if not self.is_following:
                    self._events.event("clients_database_back")
                self.is_following = True
            except Unavailable as error:
                if self.is_following:
                    LOG.error("Revocations are not up to date: %s", error.detail)
                    self._events.event("clients_database_unreachable", level="ERROR", reason=error.detail)
                self.is_following = False
