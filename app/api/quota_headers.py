"""The headers that show a caller the state of their limit."""

from __future__ import annotations

from ..limits.rate_limits import Quota


def quota_headers(quota: Quota) -> dict[str, str]:
    """Those of draft-ietf-httpapi-ratelimit-headers, and those that OpenAI's SDKs read."""
    return {
        "RateLimit-Policy": f'"{quota.name}";q={quota.limit};w=60',
        "RateLimit": f'"{quota.name}";r={quota.remaining};t={quota.reset_seconds}',
        "x-ratelimit-limit-requests": str(quota.limit),
        "x-ratelimit-remaining-requests": str(quota.remaining),
        "x-ratelimit-reset-requests": f"{quota.reset_seconds}s",
    }
