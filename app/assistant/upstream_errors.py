"""What a model's server says when it does not answer: which of our errors it is, and the line in the operator's log."""

from __future__ import annotations

import json
import logging
import re
from typing import Any

import orjson

from ..errors import UpstreamError, UpstreamOutOfQuota, UpstreamRefused, UpstreamUnavailable

DEFAULT_RETRY_AFTER = 2.0  # seconds, where the server named none
MAX_RETRY_AFTER = 120.0  # what OpenAI's own SDKs honour
FINAL_CODES = frozenset({"insufficient_quota", "billing_hard_limit_reached", "billing_not_active"})
"""A 429 with one of these stays a 429 until somebody pays."""
THE_CALLERS = frozenset({400, 404, 409, 413, 422})
"""What is wrong with the request itself; 401 and 403 are about our key, and no business of the caller's."""

MAX_TEXTS = 200
_LOGGED_BYTES = 64 * 1024
_LOGGED_CHARACTERS = 500
_WORD = re.compile(r"[a-z][a-z0-9_]{0,63}")
_PARAM = re.compile(r"[A-Za-z0-9_.\[\]]{1,100}")
_LOG = logging.getLogger("app.assistant")


def refused(status: int, raw: bytes, retry_after: str | None) -> UpstreamError:
    """The error for any status but 200. Of the server's text nothing is kept but plain words: its `code` and `param`."""
    if status in (408, 429) or status >= 500:
        if status == 429 and not FINAL_CODES.isdisjoint((_error_of(raw).get("code"), _error_of(raw).get("type"))):
            return UpstreamOutOfQuota()
        return UpstreamUnavailable(retry_after=_seconds(retry_after))
    if status in THE_CALLERS:
        error = _error_of(raw)
        return UpstreamRefused(status, _plain(_WORD, error.get("code")), _plain(_PARAM, error.get("param")))
    return UpstreamError()


class UpstreamLog:
    """The server's text, for the operator: bounded lines, without our key and without the messages we sent."""

    def __init__(self, api_key: str) -> None:
        self._key = api_key

    def write(self, what: str, raw: bytes, body: bytes) -> None:
        text = raw[:_LOGGED_BYTES].decode("utf-8", "replace")
        sent = _texts(body)
        if len(sent) > MAX_TEXTS:
            text, sent = "[too many texts were sent to tell them from the answer]", []
        for secret, name in [(self._key, "[key]"), *((one, "[message]") for one in sent)]:
            for form in {secret, json.dumps(secret)[1:-1], json.dumps(secret, ensure_ascii=False)[1:-1]} - {""}:
                text = text.replace(form, name)
        line = text[:_LOGGED_CHARACTERS].encode("unicode_escape").decode("ascii")
        _LOG.warning("upstream %s: %s", what, line[:_LOGGED_CHARACTERS])


def _error_of(raw: bytes) -> dict[str, Any]:
    try:
        error = orjson.loads(raw)["error"]
    except (ValueError, TypeError, LookupError):
        return {}
    return error if isinstance(error, dict) else {}


def _plain(form: re.Pattern[str], value: object) -> str | None:
    return value if isinstance(value, str) and form.fullmatch(value) else None


def _seconds(value: str | None) -> float:
    """Whole or decimal seconds within our bounds; a date (RFC 9110, 10.2.3) counts as not named."""
    if value is None or not re.fullmatch(r"[0-9]{1,9}(\.[0-9]{1,9})?", value):
        return DEFAULT_RETRY_AFTER
    return min(max(float(value), 1.0), MAX_RETRY_AFTER)


def _texts(body: bytes) -> list[str]:
    """What we sent, longest first; short texts are left out, since they would blot out ordinary words."""
    found, stack = [], [orjson.loads(body)]
    while stack:
        value = stack.pop()
        if isinstance(value, str) and len(value) >= 8:
            found.append(value)
        elif isinstance(value, dict | list):
            stack.extend(value.values() if isinstance(value, dict) else value)
    return sorted(found, key=len, reverse=True)
