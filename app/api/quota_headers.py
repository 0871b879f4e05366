"""The headers that show a caller the state of their limit."""

from __future__ import annotations

from ..limits.rate_limits import Quota


def quota_headers(quota: Quota) -> list[tuple[bytes, bytes]]:
    """Those of draft-ietf-httpapi-ratelimit-headers, and those that OpenAI's SDKs read."""
    name = quota.name.encode()
    return [
        (b"ratelimit-policy", b'"%b";q=%d;w=60' % (name, quota.limit)),
        (b"ratelimit", b'"%b";r=%d;t=%d' % (name, quota.remaining, quota.reset_seconds)),
        (b"x-ratelimit-limit-requests", b"%d" % quota.limit),
        (b"x-ratelimit-remaining-requests", b"%d" % quota.remaining),
        (b"x-ratelimit-reset-requests", b"%ds" % quota.reset_seconds),
    ]
