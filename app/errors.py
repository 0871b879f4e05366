"""The error tree: a code for machines, a sentence for people, never a secret. HTTP is unknown here.

AppError
├── ConfigError                 the service cannot start as it is configured
├── InvalidInput                what was sent cannot be used
│   ├── InvalidRequest  NotFound; LastAdmin: app/admin/last_admin.py
│   ├── InvalidParameter        one member of a /v1 body; carries its name and the reason
│   ├── ModelNotFound           no such model for this principal
│   └── MalformedJson  TooLarge  UnsupportedMediaType  …: app/api/http_errors.py
├── TokenError (a ValueError)   the bearer token proves nothing: app/security/token_errors.py
│   └── TokenMissing: app/api/http_errors.py; KeyRefused: app/security/api_keys/form.py
├── ClientRefused               no token for this client: app/security/oauth_errors.py
├── VerificationFailed (a ValueError)  broken evidence, or evidence that does not prove its claim
├── InsufficientScope           proven, but without the role; carries its name
├── RateLimited                 too many in a minute; BudgetSpent: app/limits/budgets/errors.py
│   └── QuotaExceeded           carries the principal's quota: app/limits/quota.py
├── Unavailable                 impossible now; may carry retry_after
│   ├── ServerUnavailable       a database cannot be used; its words are for operators alone
│   ├── AuditUnavailable        not recorded; LongTextUnavailable: a long text was not stored
│   ├── AuditCorrupt            the log is not what was written; the start stops
│   ├── EvidenceUnavailable     no tree or checkpoint for this record yet
│   │   └── LogUnreadable       the database of the log cannot be asked
│   ├── LimitsUnavailable       the request could not be counted; BudgetsUnavailable
│   └── Overloaded              too many questions wait; TooMuchInFlight: app/limits/held_bytes.py
├── UpstreamError               the model's server sent something unusable
│   ├── UpstreamUnavailable  UpstreamTimeout; BreakerOpen: app/upstream/resilience/kinds.py
│   └── UpstreamRefused  UpstreamDenied  …: app/upstream/errors.py
├── Interrupted                 the service was stopped
├── ClientGone                  the caller disconnected
├── CallFailed                  the command-line client got no answer: app/cli/http_client.py
└── WrongUsage                  the words of a command cannot be used: app/cli/usage.py
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
        super().__init__(self.detail)


class ConfigError(AppError):
    code = "config_invalid"
    detail = "The configuration cannot be used."


class InvalidInput(AppError):
    code = "invalid_request"
    detail = "The request cannot be used as it was sent."


class InvalidRequest(InvalidInput):
    """The members or parameters are not what this endpoint takes."""


class InvalidParameter(InvalidInput):
    """The member *param* begins the message, *what* ends it; *reason* is OpenAI's word for it."""

    def __init__(self, param: str, what: str, *, reason: str = "invalid_value") -> None:
        super().__init__(f"{param} {what}")  # SDKs show the message, and not the member
        self.param = param
        self.reason = reason


class NotFound(InvalidInput):
    code = "not_found"
    detail = "There is nothing at this address."


class ModelNotFound(InvalidInput):
    """Unknown, or not for this principal's roles: only the record says which."""

    code = "model_not_found"
    detail = "The model does not exist, or you may not use it here."

    def __init__(self, model: str, *, is_known: bool) -> None:
        super().__init__()
        self.model = model
        self.is_known = is_known


class VerificationFailed(AppError, ValueError):
    code = "verification_failed"
    detail = "The evidence does not prove what it claims."


class InsufficientScope(AppError):
    code = "insufficient_scope"
    detail = "Your key or token lacks the role that this call needs."

    def __init__(self, needed_role: str) -> None:
        super().__init__(f"Your key or token lacks the role {needed_role} that this call needs.")
        self.needed_role = needed_role


class RateLimited(AppError):
    code = "rate_limited"
    detail = "Too many requests in the last minute."


class Unavailable(AppError):
    code = "unavailable"
    detail = "The service cannot do this now. Try again later."


class ServerUnavailable(Unavailable):
    """Its detail names the server and repeats its words, for an operator. A caller is not told."""


class AuditUnavailable(Unavailable):
    """Nothing was acknowledged: treat the record as not written."""

    code = "audit_unavailable"
    detail = "The audit log cannot be written now, and nothing is done without a record. Try again later."


class LongTextUnavailable(AuditUnavailable):
    """Only a text that is too long for its line was not stored; the log may be writable."""


class AuditCorrupt(Unavailable):
    code = "audit_corrupt"
    detail = "The audit log is not what it was when it was last written."


class EvidenceUnavailable(Unavailable):
    code = "evidence_unavailable"
    detail = "No signed checkpoint covers this record yet. Try again in a moment."


class LogUnreadable(EvidenceUnavailable):
    """Its detail says why, for an operator. A caller is not told."""

    detail = "The audit log cannot be read now. Try again later."


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
    detail = "The caller disconnected before the answer was ready."
