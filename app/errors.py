"""The error tree: a stable code for machines, a sentence for people, never a secret. HTTP is unknown here.

AppError
├── ConfigError                 the service cannot start as it is configured
├── InvalidInput                what was sent cannot be used
│   ├── MalformedJson  TooLarge  UnsupportedMediaType  InvalidRequest
│   ├── InvalidParameter        one member of a /v1 body; carries its name and the reason
│   ├── NotFound  MethodNotAllowed
│   └── ModelNotFound           no such model for this principal
├── TokenError (a ValueError)   the bearer token proves nothing
│   ├── TokenMissing  TokenMalformed  TokenBadHeader  TokenWrongAlgorithm  TokenUnknownKey
│   ├── TokenBadSignature  TokenMissingClaim  TokenInvalidClaim  TokenWrongIssuer  TokenWrongAudience
│   ├── TokenExpired  TokenNotYetValid  TokenTooLong
│   ├── InvalidUser  InvalidRoles  InvalidNonce
│   └── TokenRevoked  ClientDisabled
├── ClientRefused               the token endpoint says no; its classes stand in security/oauth_errors.py
├── VerificationFailed (a ValueError)  a signature, a proof or a tile does not prove what it claims
├── InsufficientScope           proven, but without the role
├── RateLimited                 too many in a minute; carries retry_after
├── Unavailable                 we cannot do it now; carries retry_after
│   ├── AuditUnavailable        it could not be written down (LongTextUnavailable: not whole)
│   ├── AuditCorrupt            the log is not what it was; the start stops
│   ├── EvidenceUnavailable     the tree or its signed head cannot be had; the log itself may be sound
│   ├── LimitsUnavailable       the limiter could not count
│   └── Overloaded              too many are waiting for the model
├── UpstreamError               the model's server sent something we cannot use
│   ├── UpstreamUnavailable     it cannot serve now
│   ├── UpstreamRefused  UpstreamDenied  UpstreamOutOfQuota: in assistant/upstream_errors.py
│   └── UpstreamTimeout         the deadline passed
├── Interrupted                 the service was stopped
└── ClientGone                  the caller hung up
"""

from __future__ import annotations


class AppError(Exception):
    """Base of all our errors. *code* is stable; *detail* is one sentence that says what to do."""

    code = "internal"
    detail = "Something went wrong on our side. Quote the request id when you report it."

    def __init__(self, detail: str | None = None, *, retry_after: float | None = None) -> None:
        if detail is not None:
            self.detail = detail
        self.retry_after = retry_after
        """Seconds after which the same call may succeed; None where waiting does not help."""
        self.recorded = False
        """Whether whoever raised this has written its record already."""
        super().__init__(self.detail)


class ConfigError(AppError):
    code = "config_invalid"
    detail = "The configuration cannot be used."


# --- what was sent -----------------------------------------------------------------------------


class InvalidInput(AppError):
    code = "invalid_request"
    detail = "The request cannot be used as it was sent."


class MalformedJson(InvalidInput):
    code = "malformed_json"
    detail = "The body is not one JSON document in UTF-8 (RFC 8259)."


class InvalidRequest(InvalidInput):
    code = "invalid_request"


class InvalidParameter(InvalidInput):
    """*param* is the member's name, *reason* the word that OpenAI has for what is wrong with it."""

    def __init__(self, detail: str, *, param: str, reason: str = "invalid_value") -> None:
        super().__init__(detail)
        self.param = param
        self.reason = reason


class TooLarge(InvalidInput):
    code = "too_large"
    detail = "The body is larger than this endpoint takes."


class UnsupportedMediaType(InvalidInput):
    code = "unsupported_media_type"
    detail = "Send the body as application/json."


class NotFound(InvalidInput):
    code = "not_found"
    detail = "There is nothing at this address."


class ModelNotFound(InvalidInput):
    """Unknown, or not for this principal's roles: the caller is not told which."""

    code = "model_not_found"
    detail = "The model does not exist, or you may not use it here. GET /v1/models lists yours."

    def __init__(self, model: str, *, is_known: bool) -> None:
        super().__init__()
        self.model = model
        self.is_known = is_known


class MethodNotAllowed(InvalidInput):
    code = "method_not_allowed"
    detail = "This address does not take that method; the Allow header names those it takes."


# --- the bearer token --------------------------------------------------------------------------


class TokenError(AppError, ValueError):
    code = "invalid_token"
    detail = "The access token is not valid. Ask POST /token for a new one."


class TokenMissing(TokenError):
    code = "token_missing"
    detail = "Send an access token: Authorization: Bearer <token>. POST /token issues one."


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
    detail = "The access token has expired. Ask POST /token for a new one."


class TokenNotYetValid(TokenError):
    code = "token_not_yet_valid"


class TokenTooLong(TokenError):
    """exp - iat is above what TOKEN_EXPIRY_HOURS allows now."""

    code = "token_lifetime_too_long"


class InvalidUser(TokenError):
    code = "invalid_user"
    detail = "A user id is 3 to 32 characters of A-Z a-z 0-9 _ -."


class InvalidRoles(TokenError):
    code = "invalid_roles"
    detail = "Roles are a non-empty list of names of a-z and dots, such as ai.playground.user."


class InvalidNonce(TokenError):
    code = "invalid_nonce"


class TokenRevoked(TokenError):
    code = "token_revoked"


class ClientDisabled(TokenError):
    code = "client_disabled"


# --- evidence ----------------------------------------------------------------------------------


class VerificationFailed(AppError, ValueError):
    """Also for evidence whose form is broken: to who holds it, what cannot be read proves nothing either."""

    code = "verification_failed"
    detail = "The evidence does not prove what it claims."


# --- policy and capacity -----------------------------------------------------------------------


class InsufficientScope(AppError):
    code = "insufficient_scope"
    detail = "Your token lacks the role that this call needs."


class RateLimited(AppError):
    code = "rate_limited"
    detail = "Too many requests in the last minute. Wait as long as Retry-After says."


class Unavailable(AppError):
    code = "unavailable"
    detail = "The service cannot do this now. Try again later."


class AuditUnavailable(Unavailable):
    """Nothing was acknowledged: the record may be taken as not written."""

    code = "audit_unavailable"
    detail = "The audit log cannot be written now, and nothing is done here unrecorded. Try again later."


class LongTextUnavailable(AuditUnavailable):
    """A text that is too long for a record cannot be kept whole beside the log; the log itself may be sound."""


class AuditCorrupt(Unavailable):
    code = "audit_corrupt"
    detail = "The audit log is not what it was when it was last written."


class EvidenceUnavailable(Unavailable):
    code = "evidence_unavailable"
    detail = "The log's signed head does not cover this record yet. Try again in a moment."


class LimitsUnavailable(Unavailable):
    code = "limits_unavailable"
    detail = "The request limit cannot be counted now. Try again later."


class Overloaded(Unavailable):
    code = "overloaded"
    detail = "Too many questions are waiting for the model. Try again later."


class UpstreamError(AppError):
    code = "upstream_error"
    detail = "The model's server answered with something that cannot be used."


class UpstreamUnavailable(UpstreamError):
    code = "upstream_unavailable"
    detail = "The model's server cannot answer now. Try again later."


class UpstreamTimeout(UpstreamError):
    code = "upstream_timeout"
    detail = "The model did not answer in time."


class Interrupted(AppError):
    code = "interrupted"
    detail = "The service was stopped before the answer was ready. Ask again."


class ClientGone(AppError):
    code = "client_gone"
    detail = "The caller hung up before the answer was ready."
