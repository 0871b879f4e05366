"""Rate limits: questions, reads, tokens per principal; failed proofs per address; refusals.

slowapi's Limiter provides storage and strategy. Its decorator is not used: it would run after the
dependencies, and it checks only one limit for each request.
"""

from __future__ import annotations

import math
import os
import warnings
from time import monotonic

from slowapi import Limiter
from slowapi.util import get_remote_address

from ..errors import RateLimited
from ..settings import Settings
from .networks import network_of
from .quota import QUESTIONS, PerMinute, Quota, QuotaExceeded
from .shared_hits import MINUTE
from .shared_window import UNPROVEN, WindowStorage, shared_window_url
from .storage_faults import storage_faults

MIN_TOKENS_PER_MINUTE = 60
"""A client may fetch this many tokens even if RATE_LIMIT is lower: fetching one is cheap."""
MIN_READS_PER_MINUTE = 600
"""A principal may read so often even if their limit on questions is lower: a read asks no model."""
UNPROVEN_SHARE = 1 / 3
"""Of AUDIT_REFUSALS_PER_MINUTE: records of all who are not proven, a minute, after a burst."""
KEYS, READS, KEY_READS, TOKENS = "key", "reads", "key_reads", "tokens"
"""The names of the limits that callers see, beside QUESTIONS."""


class Buckets:
    """One moving window of 60 s for each key.

    Raises LimitsUnavailable if the storage fails: a call that cannot be counted is refused.
    """

    def __init__(self, settings: Settings, nodes: int = 1) -> None:
        """*nodes*: how many of them count alone, so that each grants that part of every limit."""
        self._nodes = nodes
        with warnings.catch_warnings(action="ignore"):  # that config_filename is no file, which is intended
            limiter = Limiter(
                key_func=get_remote_address,
                strategy="moving-window",
                storage_uri=shared_window_url(settings.audit_log_path),
                config_filename=os.devnull,  # otherwise slowapi reads RATELIMIT_* from ./.env
            )
        self._window = limiter.limiter
        storage = self._window.storage
        assert isinstance(storage, WindowStorage)
        self.shared = storage.shared
        self._storage = storage
        self._token = self._part(max(settings.rate_limit, MIN_TOKENS_PER_MINUTE))
        self._address = self._part(settings.address_rate_limit)
        self._refusal = PerMinute(settings.audit_refusals_per_minute)
        of_user = settings.asserted_user_rate_limit
        self._unproven_from = 0.0  # before that time, no refusal of an unproven caller is admitted
        self._asserted = None if of_user is None else self._part(of_user)

    def charge_question(self, user_id: str, per_minute: int, key: tuple[str, int] | None = None) -> Quota:
        """Count one question of a proven principal. Raises QuotaExceeded.

        *key*: the id of an API key with a limit of its own, and that limit. The tighter one counts.
        """
        return self._charge_both(QUESTIONS, user_id, per_minute, KEYS, key)

    def charge_read(self, user_id: str, per_minute: int, key: tuple[str, int] | None = None) -> Quota:
        """Count one read, as `charge_question`. The limits are those of questions, or more."""
        reads = None if key is None else (key[0], max(key[1], MIN_READS_PER_MINUTE))
        return self._charge_both(READS, user_id, max(per_minute, MIN_READS_PER_MINUTE), KEY_READS, reads)

    def test_asserted(self, user_id: str, asserted_id: str) -> None:
        """Raises QuotaExceeded if a user that a front end names has used up their part.

        Counts nothing: test it before the principal is charged, and charge it afterwards. So one
        user cannot use up the part of the others, and there are no more buckets than calls.
        """
        if self._asserted is not None:
            with storage_faults():
                if not self._window.test(self._asserted, "asserted", user_id, asserted_id):
                    raise QuotaExceeded(self._quota(self._asserted, "asserted", user_id, asserted_id))

    def charge_asserted(self, user_id: str, asserted_id: str, key: tuple[str, int] | None = None) -> None:
        """Count a question that was charged, for a user that a front end names.

        Raises QuotaExceeded, with the question given back: the part of others stays whole.
        *key*: as in `charge_question`.
        """
        if self._asserted is not None:
            try:
                self._charge(self._asserted, "asserted", user_id, asserted_id)
            except QuotaExceeded:
                self._give_back_question(user_id, key)
                raise

    def charge_token(self, client_id: str) -> Quota:
        """Count one token for a proven client. Raises QuotaExceeded."""
        return self._charge(self._token, TOKENS, client_id)

    def test_address(self, address: str) -> None:
        """Raises RateLimited if too many proofs from *address* failed in the last minute.

        Counts nothing.
        """
        network = network_of(address)
        with storage_faults():
            if not self._window.test(self._address, UNPROVEN, "address", network):
                raise self._address_limited(network)

    def charge_address(self, address: str) -> None:
        """Count one failed proof of identity. Raises RateLimited after too many of them."""
        network = network_of(address)
        with storage_faults():
            if not self._window.hit(self._address, UNPROVEN, "address", network):
                raise self._address_limited(network)

    def admit_refusal(self, user_id: str | None, network: str) -> bool:
        """Whether one more refusal may have a record of its own. Never raises.

        Counted for each principal. Where none is proven, for each network and for all of them
        together: a burst of AUDIT_REFUSALS_PER_MINUTE, then a third of that a minute.
        """
        try:
            if user_id is not None:
                return self._window.hit(self._refusal, "refusal", user_id)
            now = monotonic()
            if now < self._unproven_from or not self._window.hit(self._refusal, UNPROVEN, "refusal", network):
                return False
            burst = self._refusal.amount
            wait = self._storage.take(burst, burst * UNPROVEN_SHARE / 60)
            self._unproven_from = now + wait
            return not wait
        except OSError:
            return False

    def forget_old(self) -> None:
        """Delete everything that no window reaches any more. Call it about once a minute."""
        with storage_faults():
            self._storage.forget_old()

    def probe(self) -> None:
        """Whether hits can be counted. Raises LimitsUnavailable."""
        with storage_faults():
            self._storage.probe()

    def close(self) -> None:
        self._storage.close()

    def _part(self, limit: int) -> PerMinute:
        return PerMinute(max(1, limit // self._nodes))

    def _give_back_question(self, user_id: str, key: tuple[str, int] | None) -> None:
        with storage_faults():
            self._storage.give_back(self._token.key_for(QUESTIONS, user_id))
            if key is not None:
                self._storage.give_back(self._token.key_for(KEYS, key[0]))

    def _charge_both(self, name: str, user_id: str, limit: int, key_name: str, key: tuple[str, int] | None) -> Quota:
        """Count one call in the bucket of a principal, and in that of a key that narrows it."""
        if key is None or key[1] >= limit:
            return self._charge(self._part(limit), name, user_id)
        key_id, own = key[0], self._part(key[1])
        with storage_faults():
            if not self._window.test(own, key_name, key_id):
                raise QuotaExceeded(self._quota(own, key_name, key_id))
        shared = self._charge(self._part(limit), name, user_id)
        return min(shared, self._charge(own, key_name, key_id), key=lambda quota: quota.remaining)

    def _address_limited(self, network: str) -> RateLimited:
        return RateLimited(retry_after=self._quota(self._address, UNPROVEN, "address", network).reset_seconds)

    def _charge(self, item: PerMinute, *key: str) -> Quota:
        with storage_faults():
            is_allowed, oldest, count = self._storage.hit(item.key_for(*key), item.amount)
        quota = _quota_of(item, key[0], oldest, count)
        if not is_allowed:
            raise QuotaExceeded(quota)
        return quota

    def _quota(self, item: PerMinute, *key: str) -> Quota:
        return _quota_of(item, key[0], *self._storage.get_moving_window(item.key_for(*key), item.amount, MINUTE))


def _quota_of(item: PerMinute, name: str, oldest: float, count: int) -> Quota:
    """*oldest*: when the oldest of *count* calls in the window came."""
    return Quota(item.amount, max(0, item.amount - count), max(1, math.ceil(oldest + MINUTE - monotonic())), name)
