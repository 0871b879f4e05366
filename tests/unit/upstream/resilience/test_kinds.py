"""What may help after an error, and whose fault it is."""

from __future__ import annotations

import pytest

from app.errors import UpstreamError, UpstreamTimeout, UpstreamUnavailable
from app.upstream.attempts import Try
from app.upstream.errors import (
    ContextLengthExceeded,
    ProtocolNotServed,
    UpstreamBusy,
    UpstreamDenied,
    UpstreamOutOfQuota,
    UpstreamRefused,
)
from app.upstream.resilience.kinds import is_servers_fault, may_fall_back, may_retry

UNREACHED, REFUSED, FAILED, CUT = (False, None), (True, 503), (True, 500), (True, 200)
ROWS: list[tuple[UpstreamError, tuple[bool, int | None], bool, bool, bool]] = [
    # the error, whether it was sent and the status; whether a retry, a fallback may help; whose fault
    (UpstreamUnavailable(), UNREACHED, True, True, True),
    (UpstreamUnavailable(), REFUSED, True, True, True),
    (UpstreamUnavailable(), (True, 429), True, True, False),
    (UpstreamUnavailable(), FAILED, False, True, True),
    (UpstreamUnavailable(), CUT, False, True, True),
    (UpstreamBusy(), CUT, False, True, True),
    (UpstreamTimeout(), (True, None), False, True, True),
    (UpstreamError(), CUT, False, True, True),
    (UpstreamOutOfQuota(), (True, 429), False, True, False),
    (UpstreamDenied(), (True, 401), False, True, False),
    (ProtocolNotServed(), (True, 404), False, True, False),
    (UpstreamRefused(404), (True, 404), False, True, False),
    (UpstreamRefused(400), (True, 400), False, False, False),
    (ContextLengthExceeded(), (True, 400), False, False, False),
]


@pytest.mark.parametrize(("error", "asked", "retry", "fallback", "is_fault"), ROWS)
def test_each_error_allows_what_can_help(
    error: UpstreamError, asked: tuple[bool, int | None], retry: bool, fallback: bool, is_fault: bool
) -> None:
    one = Try("lab")
    one.is_sent, one.status = asked
    assert may_retry(error, one, after_generation=False) is retry
    assert may_retry(error, one, after_generation=True) is isinstance(error, UpstreamUnavailable)
    assert may_fall_back(error) is fallback
    assert is_servers_fault(error, one) is is_fault
