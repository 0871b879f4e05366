"""What a model costs, in whole billionths of a unit of the currency: no amount is ever a float."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal

BILLION = 10**9
"""Amounts are counted in 10^-9 units of the currency: 1.5 dollars are 1,500,000,000."""
DECIMAL_PLACES = 9
PER_TOKENS = 1_000_000
"""Prices are for so many tokens."""
_SHOWN = re.compile(r"([0-9]{1,19})(?:\.([0-9]{1,9}))?")
"""As `decimal_text` writes it."""
NO_CALLS: Mapping[str, int] = {}


@dataclass(frozen=True, slots=True)
class Price:
    """Each in 10^-9 units of the currency: the first five for a million tokens."""

    input: int
    output: int
    cached_input: int
    """Of the input: what the server read from its cache."""
    cache_write: int
    """Of the input: what the server wrote to its cache."""
    reasoning: int
    """Of the output: what the caller did not see."""
    per_call: Mapping[str, int] = field(default_factory=dict)
    """One call of a tool that runs on the model's server, by the names of `[server_side]`."""
    dearest_input: int = field(init=False)
    dearest_output: int = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "dearest_input", max(self.input, self.cached_input, self.cache_write))
        object.__setattr__(self, "dearest_output", max(self.output, self.reasoning))

    def members(self) -> dict[str, object]:
        """As records hold it: decimal text, without what costs as much as the input or output."""
        prices = {name: decimal_text(getattr(self, name)) for name in TOKEN_PRICES}
        same = [name for name, whole in PART_OF.items() if prices[name] == prices[whole]]
        calls = {name: decimal_text(amount) for name, amount in self.per_call.items()}
        return {name: text for name, text in prices.items() if name not in same} | ({"per_call": calls} if calls else {})


PART_OF = {"cached_input": "input", "cache_write": "input", "reasoning": "output"}
TOKEN_PRICES = ("input", "output", *PART_OF)


def cost(
    price: Price,
    input_tokens: int,
    output_tokens: int,
    *,
    cached_tokens: int = 0,
    written_tokens: int = 0,
    reasoning_tokens: int = 0,
    calls: Mapping[str, int] = NO_CALLS,
) -> int:
    """What an answer cost, in 10^-9 units, rounded up.

    *cached_tokens* and *written_tokens* are parts of the input, *reasoning_tokens* one of the
    output. *calls*: of each tool that ran on the server; KeyError for one without a price.
    """
    plain_input = input_tokens - cached_tokens - written_tokens
    plain_output = output_tokens - reasoning_tokens
    amount = plain_input * price.input if plain_input > 0 else 0
    amount += plain_output * price.output if plain_output > 0 else 0
    if cached_tokens or written_tokens or reasoning_tokens:
        amount += cached_tokens * price.cached_input + written_tokens * price.cache_write + reasoning_tokens * price.reasoning
    return -(-amount // PER_TOKENS) + (_cost_of_calls(price, calls) if calls else 0)


def most_cost(price: Price, input_tokens: int, output_tokens: int, *, calls: Mapping[str, int] = NO_CALLS) -> int:
    """The most that so many tokens can cost, of whatever kind they are: what is to be reserved."""
    amount = input_tokens * price.dearest_input + output_tokens * price.dearest_output
    return -(-amount // PER_TOKENS) + (_cost_of_calls(price, calls) if calls else 0)


def _cost_of_calls(price: Price, calls: Mapping[str, int]) -> int:
    return sum(count * price.per_call[name] for name, count in calls.items())


def decimal_text(amount: int) -> str:
    """10^-9 units as a decimal number: 1_500_000_000 is 1.5."""
    if amount < 0:
        return f"-{decimal_text(-amount)}"
    whole, rest = divmod(amount, BILLION)
    return f"{whole}.{rest:09}".rstrip("0") if rest else str(whole)


def amount_of(value: str | int | Decimal, most: int) -> int:
    """A decimal number of at least 0 as 10^-9 units. *most*: in units of the currency.

    Raises ValueError with the end of a sentence: also for digits that would be lost.
    """
    if isinstance(value, str) and (found := _SHOWN.fullmatch(value)) and int(found[1]) < most:
        return int(found[1]) * BILLION + int((found[2] or "").ljust(DECIMAL_PLACES, "0"))
    try:
        number = Decimal(value)
    except ArithmeticError:
        raise ValueError("takes a number such as 0.15") from None
    if not number.is_finite() or number < 0 or number > most:
        raise ValueError(f"takes a number from 0 to {most:,}")
    digits, exponent = number.as_tuple()[1:]
    assert isinstance(exponent, int)
    lost = digits[exponent + DECIMAL_PLACES :] if exponent < -DECIMAL_PLACES else ()
    if any(lost):
        raise ValueError(f"takes a number with at most {DECIMAL_PLACES} digits after the point")
    return int(number.scaleb(DECIMAL_PLACES)) if number else 0
