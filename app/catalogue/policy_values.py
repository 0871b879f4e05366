"""What a value may be in the policy file alone: money, token rates, time zones, principals."""

from __future__ import annotations

from datetime import UTC, tzinfo
from decimal import Decimal
from typing import Annotated
from zoneinfo import ZoneInfo

from pydantic import AfterValidator, BeforeValidator, Field

from .budgets import EACH
from .prices import amount_of
from .values import MAX_CONTEXT_TOKENS, Real, of_form

MOST_PRICE = 1_000_000
MOST_MONEY = 1_000_000_000
"""In units of the currency: as 10^-9 units it fits 64 bits."""


def _amount(most: int) -> BeforeValidator:
    """A number of TOML as 10^-9 units of the currency."""

    def read(value: object) -> int:
        if isinstance(value, bool) or not isinstance(value, int | Decimal):
            raise ValueError("takes a number such as 0.15, without quotes")
        return amount_of(value, most)

    return BeforeValidator(read)


def zone_named(name: str) -> tzinfo:
    """Raises ValueError."""
    if name == "UTC":  # always there; the others come from the system, or from the package tzdata
        return UTC
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError):  # an unknown name, one that leaves the folder, a folder
        raise ValueError("takes the name of a time zone such as Europe/Berlin, as the IANA database has it") from None


def _verify_zone(name: str) -> str:
    zone_named(name)
    return name


PriceAmount = Annotated[int, _amount(MOST_PRICE)]
MoneyAmount = Annotated[int, _amount(MOST_MONEY), Field(gt=0)]
TokenBudget = Annotated[int, Field(ge=1, le=10**15)]
TokenRate = Annotated[int, Field(ge=1, le=MAX_CONTEXT_TOKENS)]
HedgeSeconds = Annotated[float, Real, Field(ge=0.05, le=3600)]
Share = Annotated[float, Real, Field(ge=0, le=1)]
Currency = Annotated[str, of_form(r"[A-Z]{3}", "takes three capital letters, such as USD or EUR")]
TimeZone = Annotated[str, AfterValidator(_verify_zone)]
Provider = Annotated[
    str,
    of_form(
        r"[a-z][a-z0-9_]{0,63}(:[A-Za-z]\w{0,63})?",
        "takes the name of a provider as LangChain has it, such as anthropic or google_genai, or MODULE:CLASS",
    ),
]
PrincipalName = Annotated[
    str,
    of_form(
        r"[A-Za-z0-9_-]{3,32}|" + f"\\{EACH}",
        f"takes the name of a client, such as alice, or {EACH} for each with a budget alike",
    ),
]
