"""The tokens of one question in the windows of a minute: an estimate first, then what it used."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from typing import Any

from ..limits.quota import Quota
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

    __slots__ = ("_settle", "attempts", "quota")

    def __init__(self) -> None:
        self.quota: Quota | None = None
        """The tightest window, once the question is counted; None: no rate applies."""
        self.attempts: Attempts | None = None
        """Set it once the question may be sent."""
        self._settle: Callable[[int], None] | None = None

    def begin(self, rates: TokenRates, call: PreparedCall) -> None:
        """Raises QuotaExceeded, LimitsUnavailable."""
        charge = rates.charge(call.token_rates, call.estimated_tokens)
        self.quota, self._settle = charge.quota, partial(rates.settle, charge)

    def answered(self, usage: Usage | None) -> None:
        """None: the server counted nothing, so the estimate stays."""
        if self._settle is not None and usage is not None:
            self._settle(usage.input_tokens + usage.output_tokens)
        self._settle = None

    def end(self) -> None:
        """Nothing counts if no server can have begun an answer."""
        tries = self.attempts.tries if self.attempts is not None else []
        if self._settle is not None and all(one.is_free for one in tries):
            self._settle(0)
        self._settle = None


@contextmanager
def counted_tokens(rates: TokenRates | None, call: PreparedCall, use: TokenUse) -> Iterator[None]:
    """Raises QuotaExceeded, LimitsUnavailable before the block."""
    if rates is None or not call.token_rates:
        yield
        return
    use.begin(rates, call)
    try:
        yield
    finally:
        use.end()


def estimated_tokens(endpoint: Endpoint, params: Mapping[str, Any], body: bytes) -> int:
    """Of the question and of the longest answer to it; 0 where nothing is generated."""
    if endpoint is COUNT_TOKENS:
        return 0
    caps = [value for name in endpoint.token_caps if type(value := params.get(name)) is int]
    return len(body) // BYTES_PER_TOKEN + max(caps, default=0) * (params.get("n") or 1)
