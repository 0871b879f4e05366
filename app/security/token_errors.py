"""What a bearer token lacks. Its code goes to the record; a caller learns less.

TokenError (a ValueError)
├── TokenMalformed  TokenBadHeader  TokenWrongAlgorithm  TokenUnknownKey  TokenBadSignature
├── TokenMissingClaim  TokenInvalidClaim  TokenWrongIssuer  TokenWrongAudience
├── TokenExpired  TokenNotYetValid  TokenTooLong  TokenRevoked  ClientDisabled
└── InvalidUser  InvalidRoles  InvalidNonce
"""

from __future__ import annotations

from ..errors import AppError


class TokenError(AppError, ValueError):
    """Its code goes to the record. A caller learns only `invalid_token` or `token_expired`."""

    code = "invalid_token"
    detail = "The access token is not valid."


class TokenMalformed(TokenError):
    code = "token_malformed"


class TokenBadHeader(TokenError):
    code = "token_bad_header"


class TokenWrongAlgorithm(TokenError):
    code = "token_wrong_algorithm"


class TokenUnknownKey(TokenError):
    code = "token_unknown_key"


class TokenBadSignature(TokenError):
    code = "token_bad_signature"


class TokenMissingClaim(TokenError):
    code = "token_missing_claim"


class TokenInvalidClaim(TokenError):
    code = "token_invalid_claim"


class TokenWrongIssuer(TokenError):
    code = "token_wrong_issuer"


class TokenWrongAudience(TokenError):
    code = "token_wrong_audience"


class TokenExpired(TokenError):
    code = "token_expired"
    detail = "The access token has expired."


class TokenNotYetValid(TokenError):
    code = "token_not_yet_valid"


class TokenTooLong(TokenError):
    """exp - iat is above what TOKEN_EXPIRY_HOURS allows now."""

    code = "token_lifetime_too_long"


class InvalidUser(TokenError):
    code = "invalid_user"
    detail = "A client's name is 3 to 32 characters of A-Z a-z 0-9 _ -."


class InvalidRoles(TokenError):
    code = "invalid_roles"
    detail = "Roles are a non-empty list of names of a-z and dots, such as ai.playground.user."


class InvalidNonce(TokenError):
    code = "invalid_nonce"


class TokenRevoked(TokenError):
    code = "token_revoked"


class ClientDisabled(TokenError):
    code = "client_disabled"
