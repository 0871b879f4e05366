"""The headers that show a caller the state of their limit."""

from __future__ import annotations

from ..limits.quota import TOKEN_RATE, Quota


def quota_headers(quota: Quota) -> list[tuple[bytes, bytes]]:
    """Those of draft-ietf-httpapi-ratelimit-headers, and those that OpenAI's SDKs read."""
    name, what = quota.name.encode(), b"tokens" if quota.name == TOKEN_RATE else b"requests"
    return [
        (b"ratelimit-policy", b'"%b";q=%d;w=60' % (name, quota.limit)),
        (b"ratelimit", b'"%b";r=%d;t=%d' % (name, quota.remaining, quota.reset_seconds)),
        (b"x-ratelimit-limit-" + what, b"%d" % quota.limit),
        (b"x-ratelimit-remaining-" + what, b"%d" % quota.remaining),
        (b"x-ratelimit-reset-" + what, b"%ds" % quota.reset_seconds),
    ]
