"""The state of a limit as headers."""

from __future__ import annotations

from app.api.quota_headers import quota_headers
from app.limits.rate_limits import Quota


def test_a_quota_is_shown_in_both_forms_of_header() -> None:
    assert quota_headers(Quota(60, 7, 42)) == {
        "RateLimit-Policy": '"rpm";q=60;w=60',
        "RateLimit": '"rpm";r=7;t=42',
        "x-ratelimit-limit-requests": "60",
        "x-ratelimit-remaining-requests": "7",
        "x-ratelimit-reset-requests": "42s",
    }


def test_a_limit_says_what_it_counts() -> None:
    shown = quota_headers(Quota(600, 599, 60, "reads"))
    assert (shown["RateLimit-Policy"], shown["RateLimit"]) == ('"reads";q=600;w=60', '"reads";r=599;t=60')
