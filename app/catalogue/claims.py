"""What one question may take of the budgets in force: decided when it is prepared."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import tzinfo

from .budgets import Budget
from .prices import Price


@dataclass(frozen=True, slots=True)
class Most:
    """The most that one question can use. Nothing that a server bills is above it."""

    input_tokens: int
    output_tokens: int
    """Of all choices of the answer together, with what the caller does not see."""
    calls: Mapping[str, int] = field(default_factory=dict)
    """Of each tool that runs on the model's server."""


@dataclass(frozen=True, slots=True)
class Claim:
    """*budgets*: all that the question must fit into; at least one. It keeps the policy of now."""

    budgets: tuple[Budget, ...]
    price: Price | None
    """None only where no budget counts money."""
    most: Most
    zone: tzinfo
    currency: str
