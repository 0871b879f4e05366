"""What pages of the console show that no endpoint gives as it is."""

from __future__ import annotations

from typing import Any

from ..catalogue.prices import decimal_text
from ..security.models import Principal
from ..wiring.services import Services

ADDED = ("questions", "answered", "failed", "refused", "input", "output")


def models_of(services: Services, principal: Principal) -> list[dict[str, Any]]:
    """Those that *principal* may chat with, each with its prices if it has some."""
    catalogue = services.assistant.v1_requests.catalogue
    found = []
    for entry in catalogue.visible_to(principal.roles):
        price = catalogue.prices.get(entry.name)
        if "chat" in entry.endpoints:
            prices = {} if price is None else {"input": decimal_text(price.input), "output": decimal_text(price.output)}
            found.append({"name": entry.name, **({"currency": catalogue.currency, **prices} if prices else {"currency": ""})})
    return found


def totals_of(days: list[dict[str, Any]]) -> dict[str, Any]:
    """The sums of all days, and how many of the questions were answered."""
    totals: dict[str, Any] = {name: sum(day[name] for day in days) for name in ADDED}
    nano = sum(_nano(day["money"]) for day in days)
    return totals | {"money": decimal_text(nano), "is_estimated": any(day["is_estimated"] for day in days)}


def _nano(money: str) -> int:
    whole, _, rest = money.partition(".")
    return int(whole) * 10**9 + int((rest + "0" * 9)[:9])
