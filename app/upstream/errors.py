"""What a model's server says when it does not answer: which of our errors it is, and the line in the operator's log."""

from __future__ import annotations

import hashlib
import logging
import re
from typing import Any

import orjson

from ..errors import UpstreamError, UpstreamUnavailable

DEFAULT_RETRY_AFTER = 2.0  # seconds, where the server named none
MAX_RETRY_AFTER = 120.0  # what OpenAI's own SDKs honour
FINAL_CODES = frozenset({"insufficient_quota", "billing_hard_limit_reached", "billing_not_active"})
"""A 429 with one of these stays a 429 until somebody pays."""
THE_CALLERS = frozenset({400, 404, 409, 413, 422})
"""What is wrong with the request itself; 401 and 403 are about our key, and no business of the caller's."""

_WORD = re.compile(r"[a-z][a-z0-9_]{0,63}")
_PARAM = re.compile(r"[A-Za-z0-9_.\[\]]{1,100}")
_LOG = logging.getLogger("app.assistant")


class UpstreamRefused(UpstreamError):
    """*status* is the server's own; *reason* and *param* are plain words of its answer, where it gave some."""

    code = "upstream_refused"
    detail = "The model's server does not take this request as it is."

    def __init__(self, status: int, reason: str | None = None, param: str | None = None) -> None:
        super().__init__()
        self.status = status
        self.reason = reason
        self.param = param


class UpstreamDenied(UpstreamError):
    code = "upstream_denied"
    detail = "The model's server does not let this service in. Tell whoever runs this service."


class UpstreamOutOfQuota(UpstreamError):
    code = "upstream_out_of_quota"
    detail = "The model's server takes no more requests until its bill is settled. Tell whoever runs this service."


def refused(status: int, raw: bytes, retry_after: str | None) -> UpstreamError:
    """The error for any status but 200. Of the server's text nothing is kept but plain words: its `code` and `param`."""
    words = _words_of(raw)
    if status in (408, 429) or status >= 500:
        if status == 429 and not FINAL_CODES.isdisjoint((words["code"], words["type"])):
            return UpstreamOutOfQuota()
        return UpstreamUnavailable(retry_after=_seconds(retry_after))
    if status in THE_CALLERS:
        return UpstreamRefused(status, words["code"], words["param"])
    if status in (401, 403) or 300 <= status < 400:
        return UpstreamDenied()
    return UpstreamError()


def log_upstream(what: str, raw: bytes) -> None:
    """For the operator: what happened, the plain words of the server's error, and the size and SHA-256 of its answer.

    Not its text: servers repeat what they were asked, whole, in part and altered, and an answer is nobody's but the asker's.
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
    """Whole or decimal seconds within our bounds; a date (RFC 9110, 10.2.3) counts as not named."""
    if value is None or not re.fullmatch(r"[0-9]{1,9}(\.[0-9]{1,9})?", value):
        return DEFAULT_RETRY_AFTER
    return min(max(float(value), 1.0), MAX_RETRY_AFTER)
