"""`policy check`: what is wrong in a policy file, what it means, and what is easily overlooked."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from ..catalogue.budgets import Budget
from ..catalogue.models import Catalogue, ModelEntry
from ..catalogue.policy_file import read_key_problems, read_policy
from ..catalogue.prices import most_cost
from ..errors import ConfigError
from ..settings import Settings, load_settings, read_environment
from ..wiring.catalogue import caps_of, verify_ask_model


@dataclass(frozen=True, slots=True)
class CheckedPolicy:
    path: Path
    problems: tuple[str, ...]
    """Why the service would refuse the file, wherever it runs."""
    catalogue: Catalogue | None
    """None where there are problems."""
    notes: tuple[str, ...] = ()
    """What the service may not do here, or what the file says and perhaps does not mean."""


def check_policy(path: Path) -> CheckedPolicy:
    """Needs no key and no settings: without them the defaults count, and a note says so."""
    settings, notes = _settings()
    try:
        catalogue = read_policy(path, None, caps_of(settings), frozenset(settings.v1_refused_params))
    except ConfigError as error:
        return CheckedPolicy(path, tuple(error.detail.splitlines()), None)
    notes += read_key_problems(path, read_environment())
    try:
        verify_ask_model(catalogue, settings.llm_model, path)
    except ConfigError as error:
        notes.append(error.detail)
    catalogue = replace(catalogue, server_side=frozenset(settings.v1_server_side))
    return CheckedPolicy(path, (), catalogue, (*notes, *notes_on(catalogue)))


def _settings() -> tuple[Settings, list[str]]:
    try:
        return load_settings(), []
    except ConfigError:
        return Settings.model_construct(), ["The settings of this folder cannot be used: their defaults count here."]


def notes_on(catalogue: Catalogue) -> Iterator[str]:
    """What holds in the file and is easily overlooked, a sentence each."""
    for entry in catalogue.models.values():
        yield from _fallback_notes(entry, catalogue)
        yield from _hedge_notes(entry, catalogue)
        yield from _budget_notes(entry, [one for one in catalogue.budgets if one.model in (None, entry.name)], catalogue)
    if catalogue.prices and not any(budget.counts_money for budget in catalogue.budgets):
        yield "There are prices, and no budget in money: nothing is refused for what it costs."


def _fallback_notes(entry: ModelEntry, catalogue: Catalogue) -> Iterator[str]:
    for name in entry.fallback:
        other = catalogue.models[name]
        if not other.endpoints & entry.endpoints:
            yield f"{entry.name} never falls back to {name}: they have no endpoint in common."
        elif other.roles is not None and (entry.roles is None or not entry.roles <= other.roles):
            yield f"{entry.name} falls back to {name} only for {' and '.join(sorted(other.roles))}: others may not use it."


def _hedge_notes(entry: ModelEntry, catalogue: Catalogue) -> Iterator[str]:
    after = entry.hedge_after_seconds
    if after is None:
        return
    if after >= entry.seconds_for(catalogue.caps):
        yield f"{entry.name}: hedge_after_seconds is not less than its timeout: no second server is ever asked."
    elif catalogue.retries.share == 0:
        yield f"{entry.name}: hedge_after_seconds has no effect for long: [retries] share is 0, and a hedge takes from that."
    else:
        yield (
            f"{entry.name}: a question without an answer after {after:g} s goes to a second server, too, and the first good "
            f"answer counts. It may cost twice: the other server may have generated an answer as well."
        )


def _budget_notes(entry: ModelEntry, budgets: list[Budget], catalogue: Catalogue) -> Iterator[str]:
    """*budgets*: those that may count for a question to the model."""
    price = catalogue.prices.get(entry.name)
    money = [budget for budget in budgets if budget.counts_money]
    if money and price is None:
        yield (
            f"{entry.name} has no price: it is refused to everyone who has a budget in money "
            f"({', '.join(budget.id for budget in money)}). Add [prices.NAME] for it; 0 is a price."
        )
    if budgets and entry.context_tokens is None and not entry.is_embedder:
        yield f"{entry.name} has no context_tokens: where a budget counts, an image or file by its address is refused."
    if entry.is_embedder:
        return
    limit = entry.output_limit(catalogue.caps)
    answer = min(limit.default or limit.most, limit.most)
    for budget in budgets:
        if budget.counts_money and price is None:
            continue
        least = most_cost(price, 0, answer) if budget.counts_money and price is not None else answer
        if least > budget.most:
            yield (
                f"{entry.name}: a question that names no length reserves {answer:,} tokens for its answer, more than all of "
                f"{budget.id}: it is always refused. Lower default_output_tokens or max_output_tokens, or raise the budget."
            )
