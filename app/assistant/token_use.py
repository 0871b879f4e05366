"""The tokens of one question in the windows of a minute: an estimate first, then what it used."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from ..limits.rate_limits import Quota
from ..limits.token_rates import TokenRates
from ..upstream.attempts import Attempts
from ..upstream.call import PreparedCall
from ..upstream.completion import Usage
from ..upstream.protocol.count_tokens import COUNT_TOKENS
from ..upstream.protocol.endpoint import Endpoint

BYTES_PER_TOKEN = 4
"""Of a question: an estimate, which what the server counted replaces."""


class TokenUse:
    """Of one question."""

    def __init__(self) -> None:
        self.quota: Quota | None = None
        """The tightest window, once the question is counted; None: no rate applies."""
        self.attempts: Attempts | None = None
        """Set it once the question may be sent."""
        self.usage: Usage | None = None
        """Set it once it is known."""

    def tokens(self) -> int | None:
        """What the question used. None: nobody knows, so its estimate stays."""
        if self.usage is not None:
            return self.usage.input_tokens + self.usage.output_tokens
        tries = self.attempts.tries if self.attempts is not None else []
        return 0 if all(one.is_free for one in tries) else None


@contextmanager
def counted_tokens(rates: TokenRates | None, call: PreparedCall) -> Iterator[TokenUse]:
    """Raises QuotaExceeded, LimitsUnavailable before the block."""
    use = TokenUse()
    if rates is None or not call.token_rates:
        yield use
        return
    charge = rates.charge(call.token_rates, call.estimated_tokens)
    use.quota = charge.quota
    try:
        yield use
    finally:
        if (used := use.tokens()) is not None:
            rates.settle(charge, used)


def estimated_tokens(endpoint: Endpoint, params: Mapping[str, Any], body: bytes) -> int:
    """Of the question and of the longest answer to it; 0 where nothing is generated."""
    if endpoint is COUNT_TOKENS:
        return 0
    caps = [value for name in endpoint.token_caps if type(value := params.get(name)) is int]
    return len(body) // BYTES_PER_TOKEN + max(caps, default=0) * (params.get("n") or 1)
