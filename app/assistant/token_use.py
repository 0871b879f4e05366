"""The tokens of one question in the windows of a minute: an estimate first, then what it used."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext

import orjson

from ..limits.quota import Quota
from ..limits.token_rates import TokenCharge, TokenRates
from ..upstream.attempts import Attempts
from ..upstream.call import PreparedCall
from ..upstream.completion import Usage
from ..upstream.protocol.count_tokens import COUNT_TOKENS

BYTES_PER_TOKEN = 4
"""Of a question: an estimate, which what the server counted replaces."""
_UNCOUNTED = nullcontext()


class TokenUse:
    """Of one question."""

    __slots__ = ("_charge", "_rates", "attempts")

    def __init__(self) -> None:
        self.attempts: Attempts | None = None
        """Set it once the question may be sent."""
        self._rates: TokenRates | None = None
        """Until the question is over."""
        self._charge: TokenCharge | None = None

    @property
    def quota(self) -> Quota | None:
        """The tightest window, once the question is counted; None: no rate applies."""
        return self._charge.quota if self._charge is not None else None

    async def begin(self, rates: TokenRates, call: PreparedCall) -> None:
        """Raises QuotaExceeded, LimitsUnavailable."""
        if call.token_rates:
            self._charge = await rates.admit(call.token_rates, estimated_tokens(call))
        self._rates = rates

    def answered(self, usage: Usage | None, call: PreparedCall) -> None:
        """*usage*: None if the server counted nothing: the estimate stays. *call*: as answered."""
        if self._rates is not None and usage is not None:
            self._rates.settle(self._charge, usage.input_tokens + usage.output_tokens, call.token_rates)
        self._rates = None

    def end(self) -> None:
        """Nothing counts if no server can have begun an answer."""
        tries = self.attempts.tries if self.attempts is not None else []
        if self._rates is not None and all(one.is_free for one in tries):
            self._rates.settle(self._charge, 0, ())
        self._rates = None


def counted_tokens(rates: TokenRates | None, call: PreparedCall, use: TokenUse) -> AbstractAsyncContextManager[None]:
    """Raises QuotaExceeded, LimitsUnavailable before the block."""
    return _UNCOUNTED if rates is None or not (call.token_rates or call.fallbacks) else _counted(rates, call, use)


@asynccontextmanager
async def _counted(rates: TokenRates, call: PreparedCall, use: TokenUse) -> AsyncIterator[None]:
    await use.begin(rates, call)
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
    choices = params["n"] if type(params.get("n")) is int else 1
    return len(call.body) // BYTES_PER_TOKEN + most * choices
