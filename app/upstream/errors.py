"""What goes wrong with a model's server: which of our errors it is, and the operator's log line."""

from __future__ import annotations

import hashlib
import logging
from types import TracebackType

from ..catalogue.models import ProtocolName
from ..errors import UpstreamError, UpstreamUnavailable
from .error_words import read_words
from .retry_after import told_seconds

DEFAULT_RETRY_AFTER = 2.0
"""Seconds, where the server named none."""
MAX_RETRY_AFTER = 120.0
"""Seconds: the longest wait that OpenAI's own SDKs honour."""
KEPT_STATUSES = frozenset({400, 404, 409, 413, 422})
"""What is wrong with a request, where SDKs tell it apart. Any other refusal is a 400 to them."""
PASSING_STATUSES = frozenset({408, 425, 429})
"""The same request may be taken later."""
ABOUT_US = frozenset({401, 403, 407})
"""Something is wrong with our key or our way out, not with the request."""
MALFORMED = (UpstreamError, ValueError, TypeError, LookupError, AttributeError, RecursionError)
"""What reading a malformed answer may raise."""

_LOG = logging.getLogger("app.assistant")


class UpstreamRefused(UpstreamError):
    """Asking again cannot help. *reason* and *param* are plain words of the server's error."""

    code = "upstream_refused"
    detail = "The model's server does not take this request as it is."

    def __init__(self, status: int, reason: str | None = None, param: str | None = None) -> None:
        super().__init__(f"The model's server does not take {param} as it is." if param else None)
        self.status = status
        self.reason = reason
        self.param = param


class ContextLengthExceeded(UpstreamRefused):
    code = "context_length_exceeded"
    detail = "The input exceeds the context window (maximum context length) of this model. Shorten it, or ask for fewer tokens."

    def __init__(self, param: str | None = None) -> None:
        super().__init__(400, self.code, param)
        self.detail = type(self).detail


class UpstreamBusy(UpstreamUnavailable):
    """Too much was asked in too short a time. *reason* is the server's own plain word for it."""

    def __init__(self, reason: str | None = None) -> None:
        super().__init__(retry_after=DEFAULT_RETRY_AFTER)
        self.reason = reason


class UpstreamDenied(UpstreamError):
    code = "upstream_denied"
    detail = "The model's server does not let this service in. Tell the operator of this service."


class UpstreamOutOfQuota(UpstreamError):
    code = "upstream_out_of_quota"
    detail = "The model's server takes no more requests until its bill is paid. Tell the operator of this service."


class ProtocolNotServed(UpstreamError):
    """The server has nothing at this address, or is known not to speak the protocol."""

    code = "protocol_not_served"
    detail = (
        "The model's server does not serve this endpoint. Use another endpoint or model; "
        "if none works, tell the operator of this service: the server's address may be wrong."
    )


class Reading:
    """Turns whatever its block raises on a malformed answer into one logged UpstreamError.

    *raw* is what is read, and *what* names it in the log.
    """

    __slots__ = ("_coding", "_raw", "_what")

    def __init__(self, raw: bytes, what: str = "unusable answer", coding: str | None = None) -> None:
        """*coding*: as in `unusable_document`."""
        self._raw, self._what, self._coding = raw, what, coding

    def __enter__(self) -> None: ...

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if isinstance(error, MALFORMED):
            raise unusable_document(self._raw, self._what, self._coding) from None


def unusable(raw: bytes, what: str) -> UpstreamError:
    """The error for an answer that cannot be used; logs it."""
    log_upstream(what, raw)
    return UpstreamError()


def unusable_document(raw: bytes, what: str, coding: str | None) -> UpstreamError:
    """As `error_of_document`. *coding*: that in which the server says it is, if it is not read."""
    if coding is None or read_words(raw).is_error:
        return error_of_document(raw, what)
    log_upstream(f"{what} with Content-Encoding {coding}, which is not read", raw)
    return UpstreamError(f"The model's server compressed its answer ({coding}), which was asked for uncompressed.")


def error_of_document(raw: bytes, what: str) -> UpstreamError:
    """The error for an answer that cannot be used, or that says itself which; logs it."""
    log_upstream(what, raw)
    words = read_words(raw)
    if words.is_error and (words.meaning or words.status):
        return error_of_status(words.status or 500, raw, None)
    if words.is_error and words.is_passing:
        return UpstreamBusy(words.code)
    if words.is_error and words.is_about_request:
        return UpstreamRefused(400, words.reason, words.param)
    return UpstreamError()


def error_of_status(status: int, raw: bytes, retry_after: str | None, sent: bytes = b"") -> UpstreamError:
    """The error for any status but 2xx. *retry_after* is the server's header, *sent* our body.

    Of the server's own text only plain words are kept: its `code` or `type`, and its `param`.
    """
    words = read_words(raw, sent)
    if status == 402 or words.meaning == "no_money":
        return UpstreamOutOfQuota()
    if words.meaning == "too_long" and status not in PASSING_STATUSES | ABOUT_US:
        return ContextLengthExceeded(words.param)
    if status in PASSING_STATUSES or status >= 500:
        return UpstreamUnavailable(retry_after=_seconds(retry_after))
    if status in ABOUT_US or status < 400 or words.is_wrong_key:
        return UpstreamDenied()
    return UpstreamRefused(status if status in KEPT_STATUSES else 400, words.reason, words.param)


def is_not_served(protocol: ProtocolName, raw: bytes) -> bool:
    """Whether *raw*, the body of a 404, says that the address does not exist.

    An error in the form of the *protocol* says that something else does not, such as the model.
    """
    words = read_words(raw)
    return not words.is_of_protocol or words.is_anthropic != (protocol == "anthropic")


def log_upstream(what: str, raw: bytes, sent: bytes = b"") -> None:
    """For the operator: what happened; plain words, size and SHA-256 of the server's answer.

    The text itself is left out: servers repeat what they were asked, and answers are private.
    """
    words = read_words(raw, sent).shown()
    digest = hashlib.sha256(raw).hexdigest()[:16]
    _LOG.warning("upstream %s: %s(%d bytes, sha256 %s)", what, f"{words} " if words else "", len(raw), digest)


def _seconds(value: str | None) -> float:
    """What the server told, within our bounds."""
    told = told_seconds(value)
    return DEFAULT_RETRY_AFTER if told is None else min(max(told, 1.0), MAX_RETRY_AFTER)
