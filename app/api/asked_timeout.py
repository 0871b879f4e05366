"""How long a caller waits for an answer, where they say so: it lowers the deadline."""

from __future__ import annotations

import re

from fastapi import Request

from .http_errors import InvalidTimeout

OURS = "x-request-timeout"
SDK = "x-stainless-read-timeout"
"""OpenAI's and Anthropic's SDKs for Python send it with each request, 600 by default."""
_DECIMAL = re.compile(r"[0-9]{1,9}(\.[0-9]{1,9})?")
_FLOAT = re.compile(r"[0-9]{1,20}(\.[0-9]{1,20})?(e[+-]?[0-9]{1,3})?|inf")
"""As Python writes a number."""


def asked_timeout(request: Request) -> float | None:
    """Seconds; the smaller one if both headers are sent. Raises InvalidTimeout."""
    found = [_seconds(name, form, values) for name, form in ((OURS, _DECIMAL), (SDK, _FLOAT)) if (values := _all(request, name))]
    return min(found, default=None)


def _all(request: Request, name: str) -> list[str]:
    wanted = name.encode()
    return [value.decode("latin-1") for key, value in request.scope["headers"] if key == wanted]


def _seconds(name: str, form: re.Pattern[str], values: list[str]) -> float:
    if len(values) > 1 or not form.fullmatch(values[0]) or not (seconds := float(values[0])) > 0:
        raise InvalidTimeout(name)
    return seconds
