"""The rules of the policy file for retries and for the circuit breaker of a server."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class RetryRules:
    """`[retries]`."""

    most: int = 2
    """Further attempts for one question, beside its fallbacks; 0: none."""
    share: float = 0.2
    """Of all questions: how many attempts beyond the first of each a worker may make."""
    after_generation: bool = False
    """Whether to try again where the server may have begun an answer, which is paid for."""


@dataclass(frozen=True, slots=True)
class BreakerRules:
    """`[breaker]`: when a server is not asked for a while."""

    failures: int = 5
    """So many in a row open it."""
    share: float = 0.5
    """It opens, too, where so many of the attempts of a window failed."""
    least: int = 20
    """Attempts in a window that are too few to tell a share."""
    window_seconds: float = 30.0
    open_seconds: float = 3.0
    """How long it stays open before one attempt is let through."""
