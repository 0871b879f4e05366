"""The state of a limit as headers."""

from __future__ import annotations

from app.api.quota_headers import quota_headers
from app.limits.quota import TOKEN_RATE, Quota


def test_a_quota_is_shown_in_both_forms_of_header() -> None:
    assert quota_headers(Quota(60, 7, 42)) == [
        (b"ratelimit-policy", b'"rpm";q=60;w=60'),
        (b"ratelimit", b'"rpm";r=7;t=42'),
        (b"x-ratelimit-limit-requests", b"60"),
        (b"x-ratelimit-remaining-requests", b"7"),
        (b"x-ratelimit-reset-requests", b"42s"),
    ]


def test_a_limit_says_what_it_counts() -> None:
    shown = dict(quota_headers(Quota(600, 599, 60, "reads")))
    assert (shown[b"ratelimit-policy"], shown[b"ratelimit"]) == (b'"reads";q=600;w=60', b'"reads";r=599;t=60')
    assert b"x-ratelimit-limit-requests" in shown
    assert dict(quota_headers(Quota(600, 599, 60, TOKEN_RATE)))[b"x-ratelimit-remaining-tokens"] == b"599"
