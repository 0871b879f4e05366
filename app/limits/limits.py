"""What the API asks of the limits, wherever they are counted: here, on this node alone."""

from __future__ import annotations

from .quota import Quota
from .rate_limits import Buckets


class Limits:
    """Raises LimitsUnavailable where nothing can be counted."""

    counts_alone = False
    """Whether each node counts alone while the limits of all nodes cannot be counted."""

    def __init__(self, buckets: Buckets) -> None:
        self.buckets = buckets

    @property
    def problem(self) -> str | None:
        """Why the limits of all nodes are not counted now."""
        return None

    @property
    def outages(self) -> int:
        """How often that began."""
        return 0

    async def look(self) -> None:
        """Find out whether that is so, where no call does."""

    async def charge_question(
        self, user_id: str, per_minute: int, key: tuple[str, int] | None = None, asserted: str | None = None
    ) -> Quota:
        """Count one question of a proven principal. Raises QuotaExceeded, with nothing counted.

        *key*: the id of an API key with a limit of its own, and that limit. *asserted*: the user
        that a front end names, who has a part of its limit.
        """
        if asserted is None:
            return self.buckets.charge_question(user_id, per_minute, key)
        self.buckets.test_asserted(user_id, asserted)
        quota = self.buckets.charge_question(user_id, per_minute, key)
        self.buckets.charge_asserted(user_id, asserted, key)
        return quota

    async def charge_read(self, user_id: str, per_minute: int, key: tuple[str, int] | None = None) -> Quota:
        """Count one read. The limits are those of questions, or more. Raises QuotaExceeded."""
        return self.buckets.charge_read(user_id, per_minute, key)

    async def charge_asserted(self, user_id: str, asserted: str, key: tuple[str, int] | None = None) -> None:
        """Count a question that was charged, for a user that its body names.

        Raises QuotaExceeded, with the question given back.
        """
        self.buckets.charge_asserted(user_id, asserted, key)

    async def charge_token(self, client_id: str) -> Quota:
        """Count one token for a proven client. Raises QuotaExceeded."""
        return self.buckets.charge_token(client_id)

    async def test_address(self, address: str) -> None:
        """Raises RateLimited if too many proofs from *address* failed. Counts nothing."""
        self.buckets.test_address(address)

    async def charge_address(self, address: str) -> None:
        """Count one failed proof of identity. Raises RateLimited after too many of them."""
        self.buckets.charge_address(address)
