"""Issues access tokens: JWTs of the profile of RFC 9068."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import jwt

from ..roles import verify_roles, verify_user_id
from .jti import new_jti
from .keys import SigningKey
from .verifier import TYPE


@dataclass(frozen=True, slots=True)
class IssuedToken:
    """A signed token.

    *expires_in* is in seconds; *scope* holds the roles, separated by single spaces.
    """

    access_token: str
    jti: str
    expires_in: int
    scope: str


class TokenIssuer:
    """Issues tokens that a TokenVerifier with the same key and names accepts."""

    def __init__(
        self,
        key: SigningKey,
        *,
        issuer: str,
        audience: str,
        lifetime_seconds: int,
        clock: Callable[[], float] = time.time,
        nonce: Callable[[], str] = new_jti,
    ) -> None:
        self._key, self._issuer, self._audience = key, issuer, audience
        self._lifetime, self._clock, self._nonce = lifetime_seconds, clock, nonce

    def issue(self, user_id: str, roles: Sequence[str], lifetime_seconds: int | None = None) -> IssuedToken:
        """*lifetime_seconds*: of its client, if it has one. Raises InvalidUser or InvalidRoles."""
        user_id, names = verify_user_id(user_id), verify_roles(roles)
        now, nonce, scope = int(self._clock()), self._nonce(), " ".join(names)
        lifetime = lifetime_seconds or self._lifetime
        claims = {
            "iss": self._issuer,
            "sub": user_id,
            "aud": self._audience,
            "iat": now,
            "nbf": now,
            "exp": now + lifetime,
            "jti": nonce,
            "client_id": user_id,
            "scope": scope,
            "user_id": user_id,
            "roles": list(names),
            "nonce": nonce,
        }
        headers = {"typ": TYPE, "kid": self._key.kid}
        token = jwt.encode(claims, self._key.secret, algorithm=self._key.algorithm, headers=headers)
        return IssuedToken(token, nonce, lifetime, scope)
