"""The tokens of one question in the windows of a minute: an estimate first, then what it used."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import partial

import orjson

from ..limits.quota import Quota
from ..limits.token_rates import TokenRates
from ..upstream.attempts import Attempts
from ..upstream.call import PreparedCall
from ..upstream.completion import Usage
from ..upstream.protocol.count_tokens import COUNT_TOKENS

BYTES_PER_TOKEN = 4
"""Of a question: an estimate, which what the server counted replaces."""


_UNCOUNTED = nullcontext()


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
        charge = rates.charge(call.token_rates, estimated_tokens(call))
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


def counted_tokens(rates: TokenRates | None, call: PreparedCall, use: TokenUse) -> AbstractContextManager[None]:
    """Raises QuotaExceeded, LimitsUnavailable before the block."""
    return _UNCOUNTED if rates is None or not call.token_rates else _counted(rates, call, use)


@contextmanager
def _counted(rates: TokenRates, call: PreparedCall, use: TokenUse) -> Iterator[None]:
    use.begin(rates, call)
    try:
        yield
    finally:
        use.end()


def estimated_tokens(call: PreparedCall) -> int:
    """Of the question and of the longest answer to it; 0 where nothing is generated."""
    if call.endpoint is COUNT_TOKENS:
        return 0
    params = call.asked["params"] if "params" in call.asked else orjson.loads(call.body)
    caps = [value for name in call.endpoint.token_caps if type(value := params.get(name)) is int]
    most = call.clamped.sent if call.clamped else max(caps, default=0)
    return len(call.body) // BYTES_PER_TOKEN + most * (params.get("n") or 1)
