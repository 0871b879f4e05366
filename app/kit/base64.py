"""Strict base64 (RFC 4648): bytes have one spelling, and every other spelling is refused."""

from __future__ import annotations

import base64


def decode_base64(text: str) -> bytes:
    """Standard alphabet, with padding (section 4). Raises ValueError for any other spelling."""
    data = _decoded(text)
    if base64.b64encode(data).decode() != text:
        raise ValueError("not canonical base64")
    return data


def decode_base64url(text: str) -> bytes:
    """URL-safe alphabet, without padding (section 5). Raises ValueError for any other spelling."""
    data = _decoded(text + "=" * (-len(text) % 4), b"-_")
    if base64.urlsafe_b64encode(data).rstrip(b"=").decode() != text:
        raise ValueError("not canonical base64url")
    return data


def _decoded(text: str, altchars: bytes | None = None) -> bytes:
    try:
        return base64.b64decode(text, altchars, validate=True)
    except ValueError:
        raise ValueError("not base64") from None
