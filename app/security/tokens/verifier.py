"""Verifies access tokens: JWTs of the profile of RFC 9068, one numbered step after the other."""

from __future__ import annotations

import hashlib
import re
import time
from collections.abc import Callable
from typing import Any, NamedTuple

import jwt

from ...kit import strict_json
from ...kit.base64 import decode_base64url
from ..models import Principal, Revocations
from ..proof_cache import ProofCache
from ..roles import verify_roles, verify_user_id
from ..token_errors import (
    ClientDisabled,
    InvalidNonce,
    InvalidRoles,
    InvalidUser,
    TokenBadHeader,
    TokenBadSignature,
    TokenExpired,
    TokenInvalidClaim,
    TokenMalformed,
    TokenMissingClaim,
    TokenNotYetValid,
    TokenRevoked,
    TokenTooLong,
    TokenUnknownKey,
    TokenWrongAlgorithm,
    TokenWrongAudience,
    TokenWrongIssuer,
)
from .jti import is_jti
from .keys import SigningKey

MAX_TOKEN_BYTES = 4096
"""Bounds the work for a token that proves nothing."""
TYPE = "at+jwt"
"""RFC 9068, section 2.1: no other kind of JWT is taken for an access token."""
FORM = re.compile(r"([A-Za-z0-9_-]+)\.([A-Za-z0-9_-]+)\.([A-Za-z0-9_-]+)")
KEY_HEADERS = frozenset({"jwk", "jku", "x5u", "x5c", "x5t", "x5t#S256", "crit", "b64", "zip", "enc"})
"""They bring or name a key, or ask for an extension. A token with one of them is refused."""
TEXT_CLAIMS = ("iss", "aud", "sub", "client_id", "user_id", "jti", "nonce", "scope")
TIME_CLAIMS = ("iat", "nbf", "exp")
CLOCK_LEEWAY_SECONDS = 5
"""On iat and nbf, for a clock that is corrected a little; none on exp."""


class Proof(NamedTuple):
    """What a token proves, whatever has become of it and of its client since it was issued."""

    principal: Principal
    lifetime_seconds: int


class TokenVerifier:
    """Proves who bears a token.

    Proofs are cached; expiry, revocation and the state of the client are checked on every call.
    """

    def __init__(
        self,
        key: SigningKey,
        *,
        issuer: str,
        audience: str,
        lifetime_seconds: int,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._key, self._issuer, self._audience = key, issuer, audience
        self._lifetime, self._clock = lifetime_seconds, clock
        self._jws = jwt.PyJWS(options={"enforce_minimum_key_length": True})
        self._proven: ProofCache[Proof] = ProofCache()

    def verify(self, token: str, revocations: Revocations) -> Principal:
        """The proven bearer.

        Raises a TokenError whose class says which step failed; `proof_of` has steps (1) to (9).
        """
        proof = self.proof_of(token)
        principal = proof.principal
        # (10) Not revoked, its client not disabled.
        if principal.credential_id in revocations.revoked:
            raise TokenRevoked()
        if principal.client_id in revocations.disabled:
            raise ClientDisabled()
        # (11) It does not live longer than the settings allow today; only roles of its client.
        if proof.lifetime_seconds > (revocations.settings_of(principal.client_id).token_seconds or self._lifetime):
            raise TokenTooLong()
        return revocations.as_of_now(principal)

    def proof_of(self, token: str) -> Proof:
        """What an unexpired token proves, whether or not it is accepted. Raises a TokenError."""
        if not isinstance(token, str) or len(token) > MAX_TOKEN_BYTES:
            raise TokenMalformed()
        digest = hashlib.sha256(token.encode("utf-8", "surrogatepass")).digest()
        proof = self._proven.get(digest)
        if proof is None:
            proof = self._prove(token)
            self._proven.keep(digest, proof)
        # (9) Not expired. Checked for a cached token too.
        if self._clock() >= proof.principal.expires_at:
            self._proven.pop(digest, None)
            raise TokenExpired()
        return proof

    def _prove(self, token: str) -> Proof:
        # (1) Its form: three base64url parts (RFC 7515, section 7.1). Its size is checked.
        match = FORM.fullmatch(token)
        if match is None:
            raise TokenMalformed()
        _decoded(match[3])
        # (2) The header: our type, algorithm and key, and nothing that brings or names another key.
        header = _object(match[1])
        if KEY_HEADERS & header.keys():
            raise TokenBadHeader()
        if header.get("typ") != TYPE:
            raise TokenBadHeader()
        if header.get("alg") != self._key.algorithm:
            raise TokenWrongAlgorithm()
        if header.get("kid") != self._key.kid:
            raise TokenUnknownKey()
        # (3) The signature, with the algorithm of the settings, never the token's.
        try:
            self._jws.decode(token, self._key.secret, algorithms=[self._key.algorithm])
        except jwt.InvalidSignatureError:
            raise TokenBadSignature() from None
        except jwt.InvalidTokenError:
            raise TokenMalformed() from None
        # (4) Every claim is there and of its type.
        claims = _object(match[2])
        _verify_types(claims)
        # (5) Made by us, for us.
        if claims["iss"] != self._issuer:
            raise TokenWrongIssuer()
        if claims["aud"] != self._audience:
            raise TokenWrongAudience()
        # (6) Its time.
        now = self._clock()
        if now >= claims["exp"]:
            raise TokenExpired()
        if claims["nbf"] > now + CLOCK_LEEWAY_SECONDS or claims["iat"] > now + CLOCK_LEEWAY_SECONDS:
            raise TokenNotYetValid()
        # (7) Its nonce, which is its id.
        if not is_jti(claims["nonce"]) or claims["jti"] != claims["nonce"]:
            raise InvalidNonce()
        # (8) Who, and with which roles.
        user_id, roles = verify_user_id(claims["user_id"]), verify_roles(claims["roles"])
        if claims["sub"] != user_id:
            raise InvalidUser()
        if claims["scope"] != " ".join(roles):
            raise InvalidRoles()
        principal = Principal(user_id, roles, verify_user_id(claims["client_id"]), claims["jti"], claims["exp"])
        return Proof(principal, claims["exp"] - claims["iat"])


def _decoded(part: str) -> bytes:
    """The bytes of one part of a token. Raises TokenMalformed unless it is their only spelling."""
    try:
        return decode_base64url(part)
    except ValueError:
        raise TokenMalformed() from None


def _object(part: str) -> dict[str, Any]:
    """One part of a token as a JSON object. Raises TokenMalformed, also for a duplicate member."""
    try:
        value = strict_json.parse(_decoded(part))
    except ValueError:
        raise TokenMalformed() from None
    if not isinstance(value, dict):
        raise TokenMalformed()
    return value


def _verify_types(claims: dict[str, Any]) -> None:
    for name in (*TEXT_CLAIMS, *TIME_CLAIMS, "roles"):
        if name not in claims:
            raise TokenMissingClaim()
    if not isinstance(claims["nonce"], str):
        raise InvalidNonce()
    if any(not isinstance(claims[name], str) for name in TEXT_CLAIMS):
        raise TokenInvalidClaim()
    if any(type(claims[name]) is not int or not 0 <= claims[name] < 2**53 for name in TIME_CLAIMS):
        raise TokenInvalidClaim()
    if not isinstance(claims["roles"], list):
        raise InvalidRoles()
