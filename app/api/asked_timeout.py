"""How long a caller waits for an answer, where they say so: it lowers the deadline."""

from __future__ import annotations

import re

from fastapi import Request

from .http_errors import InvalidTimeout

OURS = "x-request-timeout"
SDK = "x-stainless-read-timeout"
"""OpenAI's and Anthropic's SDKs for Python send it with each request, 600 by default."""
_FORM = re.compile(r"[0-9]{1,20}(\.[0-9]{1,20})?(e[+-]?[0-9]{1,3})?|inf")
"""As Python writes a number: an SDK without a timeout may send `inf`, which changes nothing."""
NAMES = (OURS.encode(), SDK.encode())


def asked_timeout(request: Request) -> float | None:
    """Seconds; the smaller one if both headers are sent. Raises InvalidTimeout."""
    found = [one for one in request.scope["headers"] if one[0] in NAMES]
    if not found:  # nearly always, but for SDKs
        return None
    return min(_seconds(name, [value for key, value in found if key == name]) for name, _ in found)


def _seconds(name: bytes, values: list[bytes]) -> float:
    text = values[0].decode("latin-1")
    if len(values) > 1 or not _FORM.fullmatch(text) or not (seconds := float(text)) > 0:
        raise InvalidTimeout(name.decode())
    return seconds
