"""The buckets: so many calls a minute for each principal, so many failed proofs for each address.

slowapi's Limiter brings storage and strategy. Its decorator is not used: it runs after the dependencies and skips a
second limit on one request, so the buckets are asked here, in the order of the road.
"""

from __future__ import annotations

import ipaddress
import math
import os
import sqlite3
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache

from limits import RateLimitItemPerMinute
from slowapi import Limiter
from slowapi.util import get_remote_address

from ..errors import LimitsUnavailable, RateLimited
from ..settings import Settings
from .shared_window import WindowStorage, shared_window_url

TOKENS_PER_MINUTE_AT_LEAST = 60


@dataclass(frozen=True, slots=True)
class Quota:
    """A bucket after a call: its size, what is left, and the seconds until its oldest call leaves the window."""

    limit: int
    remaining: int
    reset_seconds: int

    def headers(self) -> dict[str, str]:
        """draft-ietf-httpapi-ratelimit-headers, and the names that OpenAI's SDKs read."""
        return {
            "RateLimit-Policy": f'"rpm";q={self.limit};w=60',
            "RateLimit": f'"rpm";r={self.remaining};t={self.reset_seconds}',
            "x-ratelimit-limit-requests": str(self.limit),
            "x-ratelimit-remaining-requests": str(self.remaining),
            "x-ratelimit-reset-requests": f"{self.reset_seconds}s",
        }


class Buckets:
    """Raises LimitsUnavailable wherever the storage fails: uncounted is not unlimited."""

    def __init__(self, settings: Settings) -> None:
        with warnings.catch_warnings(action="ignore"):  # "no such file": that is what we want
            limiter = Limiter(
                key_func=get_remote_address,
                strategy="moving-window",
                storage_uri=shared_window_url(settings.audit_log_path),
                config_filename=os.devnull,  # else slowapi reads RATELIMIT_* from ./.env
            )
        self._window = limiter.limiter
        storage = self._window.storage
        assert isinstance(storage, WindowStorage)
        self._storage = storage
        self._principal = RateLimitItemPerMinute(settings.rate_limit)
        self._token = RateLimitItemPerMinute(max(settings.rate_limit, TOKENS_PER_MINUTE_AT_LEAST))
        self._address = RateLimitItemPerMinute(settings.address_rate_limit)
        self._refusal = RateLimitItemPerMinute(settings.audit_refusals_per_minute)

    def charge_principal(self, user_id: str) -> Quota:
        """One call of a proven principal. Raises RateLimited, with the quota as its `quota`."""
        return self._charge(self._principal, "principal", user_id)

    def charge_token(self, client_id: str) -> Quota:
        """One token for a proven client. Raises RateLimited."""
        return self._charge(self._token, "token", client_id)

    def test_address(self, address: str) -> None:
        """Raises RateLimited while too many proofs from *address* have failed in the last minute. Charges nothing."""
        with _counted():
            if not self._window.test(self._address, "address", network_of(address)):
                raise RateLimited(retry_after=self._quota(self._address, "address", network_of(address)).reset_seconds)

    def charge_address(self, address: str) -> None:
        """One failed proof of identity."""
        with _counted():
            self._window.hit(self._address, "address", network_of(address))

    def admit_refusal(self, key: str) -> bool:
        """Whether one more refusal of *key* gets a record of its own this minute."""
        try:
            return self._window.hit(self._refusal, "refusal", key)
        except sqlite3.Error:
            return False

    def forget_old(self) -> None:
        with _counted():
            self._storage.forget_old()

    def open(self) -> None:
        """Begin to count, which also tells others of this machine that this log is served."""
        with _counted():
            self._storage.check()

    def close(self) -> None:
        self._storage.close()

    def _charge(self, item: RateLimitItemPerMinute, bucket: str, who: str) -> Quota:
        with _counted():
            allowed = self._window.hit(item, bucket, who)
            quota = self._quota(item, bucket, who)
        if not allowed:
            raise QuotaExceeded(quota)
        return quota

    def _quota(self, item: RateLimitItemPerMinute, bucket: str, who: str) -> Quota:
        reset_at, remaining = self._window.get_window_stats(item, bucket, who)
        return Quota(item.amount, max(0, remaining), max(1, math.ceil(reset_at - time.monotonic())))


class QuotaExceeded(RateLimited):
    """RateLimited by a bucket whose state the caller may see."""

    def __init__(self, quota: Quota) -> None:
        super().__init__(retry_after=quota.reset_seconds)
        self.quota = quota


@contextmanager
def _counted() -> Iterator[None]:
    try:
        yield
    except sqlite3.Error as error:
        raise LimitsUnavailable(retry_after=1) from error


@lru_cache(maxsize=4096)
def network_of(address: str) -> str:
    """What one address bucket covers: an IPv4 address, or the /64 that one IPv6 subscriber has."""
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return address
    if isinstance(parsed, ipaddress.IPv6Address):
        mapped = parsed.ipv4_mapped
        return str(mapped) if mapped else str(ipaddress.ip_network((parsed, 64), strict=False))
    return str(parsed)
