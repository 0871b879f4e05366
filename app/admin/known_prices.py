"""Prices of models from the list that `genai-prices` carries with it. Nothing is fetched.

The list is others' work and may be wrong or old: it is a start that the operator checks.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from decimal import ROUND_CEILING, Decimal
from typing import Any

from ..catalogue.models import Catalogue, ModelEntry, Server
from ..catalogue.policy_sentences import table
from ..catalogue.prices import BILLION, decimal_text
from ..errors import ConfigError

FEW, MANY = 1_000, 1_000_000
"""Tokens: some prices are higher for long questions, and the higher one is suggested."""
KINDS = {
    "input": ("input_price", ()),
    "output": ("output_price", ("output_tokens",)),
    "cached_input": ("input_price", ("cache_read_tokens",)),
    "cache_write": ("input_price", ("cache_write_tokens",)),
}
"""Our prices: which of theirs, and what is counted for it beside the tokens of the question."""


def missing_prices(catalogue: Catalogue) -> Iterator[tuple[str, str | None]]:
    """Each model without a price, with a table to paste; None: the list does not know the model.

    Raises ConfigError where the list is not installed.
    """
    library = _library()
    for name, entry in catalogue.models.items():
        if name not in catalogue.prices:
            prices = _prices_of(library, entry)
            yield name, _table_of(name, prices) if prices else None


def _library() -> Any:
    try:
        import genai_prices  # late: an extra; its list takes a second to load
    except ImportError:
        raise ConfigError("The list of prices is not installed: install the extra `prices` (pip install genai-prices).") from None
    return genai_prices


def _prices_of(library: Any, entry: ModelEntry) -> dict[str, int]:
    """In 10^-9 units a million tokens; empty where the list does not know the model."""
    model, server = entry.servers[0].model, entry.servers[0].server
    try:
        prices = {name: _price(library, *kind, model, _where(server)) for name, kind in KINDS.items()}
    except LookupError:
        return {}
    return {name: price for name, price in prices.items() if name in ("input", "output") or price != prices["input"]}


def _where(server: Server) -> Mapping[str, str]:
    """How the list finds the server's owner. A name alone would find a stranger's model."""
    if server.langchain is not None:
        return {"provider_id": server.langchain}
    return {"provider_api_url": server.base_url} if server.base_url is not None else {"provider_id": "openai"}


def _price(library: Any, which: str, counted: tuple[str, ...], model: str, where: Mapping[str, str]) -> int:
    """Raises LookupError."""
    of_many: list[Decimal] = []
    for count in (FEW, MANY):
        usage = library.Usage(**dict.fromkeys(("input_tokens", *counted), count))
        of_many.append(getattr(library.calc_price(usage, model, **where), which) * MANY / count)
    return int((max(of_many) * BILLION).to_integral_value(ROUND_CEILING))


def _table_of(name: str, prices: Mapping[str, int]) -> str:
    return "\n".join([table("prices", name), *(f"{kind} = {decimal_text(amount)}" for kind, amount in prices.items())])
