"""What goes wrong with a model's server: which of our errors it is, and the operator's log line."""

from __future__ import annotations

import hashlib
import logging
import re
from types import TracebackType
from typing import Any

import orjson

from ..errors import UpstreamError, UpstreamUnavailable

DEFAULT_RETRY_AFTER = 2.0
"""Seconds, where the server named none."""
MAX_RETRY_AFTER = 120.0
"""Seconds: the longest wait that OpenAI's own SDKs honour."""
OUT_OF_QUOTA_CODES = frozenset({"insufficient_quota", "billing_hard_limit_reached", "billing_not_active"})
"""A 429 with one of these codes stays a 429 until somebody pays: waiting does not help."""
CALLER_STATUSES = frozenset({400, 404, 409, 413, 422})
"""Something is wrong with the request itself. 401 and 403 are about our key instead."""
MALFORMED = (UpstreamError, ValueError, TypeError, LookupError, AttributeError, RecursionError)
"""What reading a malformed answer may raise."""

_WORD = re.compile(r"[a-z][a-z0-9_]{0,63}")
_PARAM = re.compile(r"[A-Za-z0-9_.\[\]]{1,100}")
_LOG = logging.getLogger("app.assistant")


class UpstreamRefused(UpstreamError):
    """*status* is the server's own; *reason* and *param* are plain words of its error, if any."""

    code = "upstream_refused"
    detail = "The model's server does not take this request as it is."

    def __init__(self, status: int, reason: str | None = None, param: str | None = None) -> None:
        super().__init__()
        self.status = status
        self.reason = reason
        self.param = param


class UpstreamDenied(UpstreamError):
    code = "upstream_denied"
    detail = "The model's server does not let this service in. Tell the operator of this service."


class UpstreamOutOfQuota(UpstreamError):
    code = "upstream_out_of_quota"
    detail = "The model's server takes no more requests until its bill is paid. Tell the operator of this service."


class Reading:
    """Turns whatever its block raises on a malformed answer into one logged UpstreamError.

    *raw* is what is read, and *what* names it in the log.
    """

    __slots__ = ("_raw", "_what")

    def __init__(self, raw: bytes, what: str = "unusable answer") -> None:
        self._raw, self._what = raw, what

    def __enter__(self) -> None: ...

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if isinstance(error, MALFORMED):
            raise unusable(self._raw, self._what) from None


def unusable(raw: bytes, what: str) -> UpstreamError:
    """The error for an answer that cannot be used; logs it."""
    log_upstream(what, raw)
    return UpstreamError()


def error_of_status(status: int, raw: bytes, retry_after: str | None) -> UpstreamError:
    """The error for any status but 200. *retry_after* is the server's header.

    Of the server's own text only plain words are kept: its `code` and `param`.
    """
    words = _words_of(raw)
    if status in (408, 429) or status >= 500:
        if status == 429 and not OUT_OF_QUOTA_CODES.isdisjoint((words["code"], words["type"])):
            return UpstreamOutOfQuota()
        return UpstreamUnavailable(retry_after=_seconds(retry_after))
    if status in CALLER_STATUSES:
        return UpstreamRefused(status, words["code"], words["param"])
    if status in (401, 403) or 300 <= status < 400:
        return UpstreamDenied()
    return UpstreamError()


def log_upstream(what: str, raw: bytes) -> None:
    """For the operator: what happened; plain words, size and SHA-256 of the server's answer.

    The text itself is left out: servers repeat what they were asked, and answers are private.
    """
    words = " ".join(f"{name}={word}" for name, word in _words_of(raw).items() if word)
    digest = hashlib.sha256(raw).hexdigest()[:16]
    _LOG.warning("upstream %s: %s(%d bytes, sha256 %s)", what, f"{words} " if words else "", len(raw), digest)


def _words_of(raw: bytes) -> dict[str, str | None]:
    try:
        error = orjson.loads(raw)["error"]
        if not isinstance(error, dict):
            error = {}
    except (ValueError, TypeError, LookupError):
        error = {}
    return {
        "code": _plain(_WORD, error.get("code")),
        "type": _plain(_WORD, error.get("type")),
        "param": _plain(_PARAM, error.get("param")),
    }


def _plain(form: re.Pattern[str], value: Any) -> str | None:
    return value if isinstance(value, str) and form.fullmatch(value) else None


def _seconds(value: str | None) -> float:
    """Whole or decimal seconds within our bounds. A date (RFC 9110, 10.2.3) counts as none."""
    if value is None or not re.fullmatch(r"[0-9]{1,9}(\.[0-9]{1,9})?", value):
        return DEFAULT_RETRY_AFTER
    return min(max(float(value), 1.0), MAX_RETRY_AFTER)
