"""What a limit says of itself: its size, what is left of it, when it is whole again."""

from __future__ import annotations

from dataclasses import dataclass

from limits import RateLimitItemPerMinute

from ..errors import RateLimited

QUESTIONS, TOKEN_RATE = "rpm", "tpm"
"""Names of limits that callers see: on questions, and on the tokens of questions and answers."""
TOKENS_USED = "The last minute has used too many tokens for this question and its longest answer."


@dataclass(frozen=True, slots=True)
class Quota:
    """A limit after a call: its size, the calls left, when the oldest call leaves the window."""

    limit: int
    remaining: int
    reset_seconds: int
    name: str = QUESTIONS


class QuotaExceeded(RateLimited):
    """RateLimited by a limit whose state the caller may see."""

    def __init__(self, quota: Quota) -> None:
        detail = TOKENS_USED if quota.name == TOKEN_RATE else None
        super().__init__(detail, retry_after=quota.reset_seconds)
        self.quota = quota


class PerMinute(RateLimitItemPerMinute):
    """Its window does not depend on its size: one that changes goes on."""

    def key_for(self, *identifiers: bytes | str | int | float) -> str:
        return "/".join(map(str, identifiers))
