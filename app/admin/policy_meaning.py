"""What a policy means, as data: who may use which model, how much, for what money."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from ..catalogue.budgets import EACH, Budget
from ..catalogue.caps import NO_TOKEN_RATE, Caps
from ..catalogue.models import ENDPOINTS, Catalogue, ModelEntry
from ..catalogue.prices import decimal_text

EVERYONE = "everyone"
Row = dict[str, Any]


def meaning_of(catalogue: Catalogue) -> dict[str, Any]:
    """Each model, everyone and each role, and each budget: an object with names."""
    return {
        "currency": catalogue.currency,
        "time_zone": str(catalogue.time_zone),
        "models": [_model(entry, catalogue) for entry in catalogue.models.values()],
        "who": who_may(catalogue, roles_of(catalogue)),
        "budgets": [{**budget.members(), "for": budget_is_for(budget)} for budget in catalogue.budgets],
        "retries": _members(catalogue.retries),
        "breaker": _members(catalogue.breaker),
    }


def roles_of(catalogue: Catalogue) -> list[str]:
    """Those that the policy names."""
    of_models = (role for entry in catalogue.models.values() for role in entry.roles or ())
    of_budgets = (budget.role for budget in catalogue.budgets if budget.role is not None)
    return sorted({*of_models, *of_budgets, *catalogue.role_caps, *catalogue.role_server_side})


def budget_is_for(budget: Budget) -> str:
    if budget.principal == EACH:
        return "each principal"
    if budget.role is not None:
        return f"all with {budget.role} together"
    if budget.model is not None:
        return f"all questions to {budget.model}"
    return budget.principal or "all together"


def who_may(catalogue: Catalogue, roles: Iterable[str]) -> list[Row]:
    """What everyone may, without a role that the policy names, and those with each of *roles*."""
    return [_who(None, catalogue), *(_who(role, catalogue) for role in roles)]


def _model(entry: ModelEntry, catalogue: Catalogue) -> Row:
    price = catalogue.prices.get(entry.name)
    return {
        "model": entry.name,
        "aliases": list(entry.aliases),
        "for": _listed(entry.roles) or [EVERYONE],
        "endpoints": [name for name in ENDPOINTS if name in entry.endpoints],
        "servers": [{"server": one.server.name, "model": one.model, "weight": one.weight} for one in entry.servers],
        "max_output_tokens": entry.max_output_tokens,
        "default_output_tokens": entry.default_output_tokens,
        "context_tokens": entry.context_tokens,
        "over_cap": None if entry.clamps is None else _over_cap(entry.clamps),
        "timeout_seconds": entry.timeout_seconds,
        "tokens_per_minute": entry.tokens_per_minute,
        "hedge_after_seconds": entry.hedge_after_seconds,
        "price": None if price is None else price.members(),
        "fallback": list(entry.fallback),
    }


def _who(role: str | None, catalogue: Catalogue) -> Row:
    roles = [] if role is None else [role]
    return {
        "who": role or EVERYONE,
        "models": [entry.name for entry in catalogue.visible_to(roles)],
        **_caps(catalogue.caps_for(roles)),
        "server_side": _listed(catalogue.server_side_for(roles)),
    }


def _caps(caps: Caps) -> Row:
    rate = caps.tokens_per_minute
    return {
        "requests_per_minute": caps.requests_per_minute,
        "tokens_per_minute": None if rate == NO_TOKEN_RATE else rate,
        "max_output_tokens": caps.max_output_tokens,
        "default_output_tokens": caps.default_output_tokens or None,
        "over_cap": _over_cap(caps.clamps),
        "timeout_seconds": caps.timeout_seconds,
        "stream_timeout_seconds": caps.stream_timeout_seconds,
        "body_bytes": caps.body_bytes,
        "messages": caps.messages,
        "message_chars": caps.message_chars,
    }


def most_of(budget: Budget, currency: str) -> str:
    """Such as `1.5 USD a day`."""
    most = f"{budget.tokens:,} tokens" if budget.money is None else f"{decimal_text(budget.money)} {currency}"
    return f"{most} a {budget.per}"


def _over_cap(clamps: bool) -> str:
    return "clamp" if clamps else "refuse"


def _listed(names: Iterable[str] | None) -> list[str]:
    return sorted(names or ())


def _members(rules: Any) -> Row:
    return {name: getattr(rules, name) for name in rules.__slots__}
