"""Tokens signed by a test, valid or wrong in one member."""

from __future__ import annotations

import base64
import hmac
import json
import time
from collections.abc import Callable
from typing import Any

from app.security.models import Revocations
from app.security.tokens.issuer import TokenIssuer
from app.security.tokens.keys import SigningKey
from app.security.tokens.verifier import TokenVerifier

from .service import Service

KEY = SigningKey("HS256", b"0123456789abcdef0123456789abcdef")
OTHER_KEY = SigningKey("HS256", b"fedcba9876543210fedcba9876543210")
NOTHING_REVOKED = Revocations(0, frozenset(), frozenset())
NOW, HOUR = 1_790_000_000, 3600
NONCE = "0123456789abcdef" * 2
ASK = "ai.playground.user"
HEADER = {"alg": "HS256", "typ": "at+jwt", "kid": KEY.kid}
CLAIMS: dict[str, Any] = {
    "iss": "secure-ai-assistant",
    "sub": "alice",
    "aud": "secure-ai-assistant",
    "iat": NOW,
    "nbf": NOW,
    "exp": NOW + HOUR,
    "jti": NONCE,
    "client_id": "alice",
    "scope": ASK,
    "user_id": "alice",
    "roles": [ASK],
    "nonce": NONCE,
}


class Clock:
    """A clock that a test can set."""

    def __init__(self, now: float = NOW) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


def issuer(clock: Callable[[], float] = lambda: NOW, *, key: SigningKey = KEY, lifetime: int = HOUR) -> TokenIssuer:
    return TokenIssuer(key, issuer=CLAIMS["iss"], audience=CLAIMS["aud"], lifetime_seconds=lifetime, clock=clock)


def verifier(clock: Callable[[], float] = lambda: NOW, *, key: SigningKey = KEY, lifetime: int = HOUR) -> TokenVerifier:
    return TokenVerifier(key, issuer=CLAIMS["iss"], audience=CLAIMS["aud"], lifetime_seconds=lifetime, clock=clock)


def b64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def part(value: object) -> str:
    """A part of a token: bytes and texts unchanged, anything else as JSON."""
    if isinstance(value, str):
        return value
    return b64(value if isinstance(value, bytes) else json.dumps(value, separators=(",", ":")).encode())


def sign(claims: object = CLAIMS, header: object = HEADER, *, key: SigningKey = KEY, digest: str = "sha256") -> str:
    """A token with a correct HMAC over any parts."""
    signed = f"{part(header)}.{part(claims)}"
    return f"{signed}.{b64(hmac.digest(key.secret, signed.encode(), digest))}"


def forged(service: Service, header: dict[str, Any] | None = None, **claims: Any) -> str:
    """A token signed with this service's key, valid except for the given members."""
    key = SigningKey("HS256", service.secret_key.encode())
    now = int(time.time())
    times = {"iat": now, "nbf": now, "exp": now + 3600}
    members = {name: value for name, value in (CLAIMS | times | claims).items() if value is not ...}
    return sign(members, HEADER | {"kid": key.kid} | (header or {}), key=key)
