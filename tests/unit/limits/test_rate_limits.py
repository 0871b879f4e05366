"""The limits as the settings give them, each with buckets of its own."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from time import monotonic

import pytest

from app.errors import LimitsUnavailable, RateLimited
from app.limits import rate_limits
from app.limits.quota import QuotaExceeded
from app.limits.rate_limits import MIN_READS_PER_MINUTE, MIN_TOKENS_PER_MINUTE, Buckets
from app.limits.shared_folder import LOCK
from app.settings import load_settings

from ...support.clean_settings import use_defaults
from ...support.windows import remove_windows, window_folder


@pytest.fixture
def log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    use_defaults(monkeypatch, tmp_path)
    log = tmp_path / "audit_log.jsonl"
    yield log
    remove_windows(log)


@pytest.fixture
def open_buckets(log: Path) -> Iterator[Callable[..., Buckets]]:
    opened: list[Buckets] = []

    def open_with(**limits: int) -> Buckets:
        opened.append(Buckets(load_settings(audit_log_path=log, **limits)))
        opened[-1].probe()
        return opened[-1]

    yield open_with
    for buckets in opened:
        buckets.close()


def test_a_principal_has_the_set_number_of_calls_and_sees_what_is_left(open_buckets: Callable[..., Buckets]) -> None:
    buckets = open_buckets()
    assert [buckets.charge_question("alice", 2).remaining for _ in range(2)] == [1, 0]
    with pytest.raises(QuotaExceeded) as refused:
        buckets.charge_question("alice", 2)
    quota = refused.value.quota
    assert (quota.limit, quota.remaining, quota.name) == (2, 0, "rpm")
    assert 59 <= quota.reset_seconds <= 60
    assert refused.value.retry_after == quota.reset_seconds
    assert buckets.charge_question("bobby", 2).remaining == 1
    assert buckets.charge_token("alice").remaining == MIN_TOKENS_PER_MINUTE - 1, "tokens have buckets of their own"
    assert buckets.charge_read("alice", 2).remaining == MIN_READS_PER_MINUTE - 1, "so have reads"


def test_a_limit_that_changes_goes_on_with_the_same_window(open_buckets: Callable[..., Buckets]) -> None:
    buckets = open_buckets()
    assert [buckets.charge_question("alice", limit).remaining for limit in (2, 5, 3)] == [1, 3, 0]
    with pytest.raises(QuotaExceeded):
        buckets.charge_question("alice", 3)
    assert buckets.charge_question("alice", 5).remaining == 1


def test_reads_follow_the_limit_on_questions_once_it_is_high(open_buckets: Callable[..., Buckets]) -> None:
    quota = open_buckets().charge_read("alice", 1000)
    assert (quota.limit, quota.name) == (1000, "reads")


def test_each_user_of_a_front_end_has_a_part_of_its_bucket(open_buckets: Callable[..., Buckets]) -> None:
    buckets = open_buckets(asserted_user_rate_limit=2)
    for user_id, asserted in [("webui", "u1"), ("webui", "u1"), ("webui", "u2"), ("other", "u1")]:
        buckets.test_asserted(user_id, asserted)
        buckets.charge_asserted(user_id, asserted)
    for refuse in (buckets.test_asserted, buckets.charge_asserted):
        with pytest.raises(QuotaExceeded) as refused:
            refuse("webui", "u1")
        assert (refused.value.quota.limit, refused.value.quota.remaining) == (2, 0)
    buckets.test_asserted("webui", "u2")
    assert buckets.charge_question("webui", 9).remaining == 8, "only charge_question counts there"


def test_a_user_of_a_front_end_has_no_limit_unless_it_is_set(open_buckets: Callable[..., Buckets]) -> None:
    buckets = open_buckets(rate_limit=1)
    for _ in range(9):
        buckets.test_asserted("webui", "u1")
        buckets.charge_asserted("webui", "u1")


def test_a_test_of_a_users_part_keeps_nothing(open_buckets: Callable[..., Buckets], log: Path) -> None:
    buckets = open_buckets(asserted_user_rate_limit=1)
    sizes = [file.stat().st_size for file in window_folder(log).iterdir()]
    for number in range(99):
        buckets.test_asserted("webui", f"u{number}")
    assert [file.stat().st_size for file in window_folder(log).iterdir()] == sizes


def test_a_keys_limit_only_narrows_what_its_client_has(open_buckets: Callable[..., Buckets]) -> None:
    buckets = open_buckets()

    def left(key_id: str, rpm: int, user_id: str = "alice") -> int:
        return buckets.charge_question(user_id, 4, (key_id, rpm)).remaining

    assert [left("k1", 2), left("k1", 2)] == [1, 0]
    for _ in range(3):
        with pytest.raises(QuotaExceeded) as refused:
            left("k1", 2)
        assert refused.value.quota.limit == 2
    assert left("k2", 100) == 1, "the bucket of the client is the tighter one"
    assert buckets.charge_question("alice", 4).remaining == 0, "calls that the key's limit refused do not count"
    with pytest.raises(QuotaExceeded) as refused:
        left("k2", 100)
    assert refused.value.quota.limit == 4
    assert left("k3", 100, "bobby") == 3


def test_a_keys_limit_narrows_the_reads_of_its_client_too(open_buckets: Callable[..., Buckets]) -> None:
    buckets, least = open_buckets(), MIN_READS_PER_MINUTE
    narrow = buckets.charge_read("alice", 2000, ("k1", 1000))
    assert (narrow.limit, narrow.remaining, narrow.name) == (1000, 999, "key_reads")
    assert buckets.charge_read("alice", 2000, ("k2", 1)).limit == least, "but a read asks no model"
    wide = buckets.charge_read("alice", 2000)
    assert (wide.limit, wide.remaining, wide.name) == (2000, 1997, "reads")
    assert buckets.charge_question("alice", 2000, ("k1", 1000)).remaining == 999, "questions are counted apart"


def test_a_question_past_a_users_part_counts_for_neither_client_nor_key(open_buckets: Callable[..., Buckets]) -> None:
    buckets, key = open_buckets(asserted_user_rate_limit=1), ("k1", 3)
    assert buckets.charge_question("webui", 4, key).remaining == 2
    buckets.charge_asserted("webui", "u1", key)
    for _ in range(9):
        assert buckets.charge_question("webui", 4, key).remaining == 1
        with pytest.raises(QuotaExceeded):
            buckets.charge_asserted("webui", "u1", key)
    assert [buckets.charge_question("webui", 4).remaining for _ in range(3)] == [2, 1, 0]


def test_tokens_follow_the_rate_limit_once_it_is_high(open_buckets: Callable[..., Buckets]) -> None:
    assert open_buckets(rate_limit=1).charge_token("alice").limit == MIN_TOKENS_PER_MINUTE
    assert open_buckets(rate_limit=100).charge_token("alice").limit == 100


def test_only_failed_proofs_count_against_an_address(open_buckets: Callable[..., Buckets]) -> None:
    buckets = open_buckets(address_rate_limit=2)
    for _ in range(5):
        buckets.test_address("2001:db8::1")
    buckets.charge_address("2001:db8::1")
    buckets.charge_address("2001:db8::2")
    with pytest.raises(RateLimited) as refused:
        buckets.test_address("2001:db8::3")
    with pytest.raises(RateLimited):
        buckets.charge_address("2001:db8::4")
    assert not isinstance(refused.value, QuotaExceeded), "the caller is not proven and sees no quota"
    assert 1 <= (refused.value.retry_after or 0) <= 60
    buckets.test_address("2001:db8:0:1::1")


@pytest.mark.parametrize("up", [0, 2**16, 2**20, 2**26], ids=["now", "a day", "days", "years"])
def test_refusals_of_all_the_unproven_are_a_burst_and_then_a_third(
    open_buckets: Callable[..., Buckets], monkeypatch: pytest.MonkeyPatch, up: int
) -> None:
    """*up*: seconds that the machine is up."""
    buckets, now = open_buckets(audit_refusals_per_minute=300), monotonic() + up

    def admitted(after: float, each_seconds: float = 0.0) -> int:
        """Of 1,000 refusals from as many addresses."""
        count = 0
        for number in range(1000):
            monkeypatch.setattr(buckets._storage, "_clock", lambda moment=now + after + number * each_seconds: moment)
            monkeypatch.setattr(rate_limits, "monotonic", buckets._storage._clock)
            count += buckets.admit_refusal(None, f"198.18.{number // 250}.{number % 250}")
        return count

    assert admitted(0) == 300
    assert admitted(0) == 0
    assert 99 <= admitted(0, 0.06) <= 101
    assert buckets.admit_refusal("alice", "198.18.0.1"), "a principal's are counted apart"
    assert admitted(1000) == 300, "a quiet time fills the bucket"


def test_two_processes_that_serve_one_log_share_their_buckets(open_buckets: Callable[..., Buckets]) -> None:
    one, other = open_buckets(audit_refusals_per_minute=1), open_buckets(audit_refusals_per_minute=1)
    assert one.admit_refusal("alice", "127.0.0.1")
    assert not other.admit_refusal("alice", "127.0.0.2")
    assert other.admit_refusal(None, "127.0.0.1")
    assert not one.admit_refusal(None, "127.0.0.2"), "all who are not proven share a bucket"


def test_many_strangers_are_told_to_wait_and_no_principal_is(
    open_buckets: Callable[..., Buckets], monkeypatch: pytest.MonkeyPatch
) -> None:
    buckets = open_buckets()
    monkeypatch.setattr(buckets._storage._unproven, "_most", 100)
    for number in range(100):
        buckets.charge_address(f"198.18.0.{number}")
    with pytest.raises(RateLimited) as refused:
        buckets.charge_address("203.0.113.1")
    assert refused.value.retry_after == 60
    buckets.test_address("203.0.113.1")
    assert not buckets.admit_refusal(None, "203.0.113.1"), "it is counted in the summary"
    assert buckets.admit_refusal("alice", "203.0.113.1")
    assert buckets.charge_question("alice", 2).remaining == 1


def test_slowapi_reads_no_settings_of_its_own(open_buckets: Callable[..., Buckets], tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("RATELIMIT_ENABLED=false\nRATELIMIT_STORAGE_OPTIONS=no-mapping\n")
    buckets = open_buckets()
    buckets.charge_question("alice", 1)
    with pytest.raises(QuotaExceeded):
        buckets.charge_question("alice", 1)


def test_what_cannot_be_counted_is_not_allowed(log: Path) -> None:
    buckets = Buckets(load_settings(audit_log_path=log))
    lock = window_folder(log) / LOCK
    lock.mkdir()
    for refused in (
        lambda one: buckets.charge_question(one, 1),
        buckets.charge_token,
        buckets.test_address,
        buckets.charge_address,
    ):
        with pytest.raises(LimitsUnavailable):
            refused("alice")
    for fails in (buckets.probe, buckets.forget_old):
        with pytest.raises(LimitsUnavailable):
            fails()
    assert not buckets.admit_refusal("alice", "::1"), "then it is counted in the summary"
    lock.rmdir()
    buckets.close()
    assert not lock.parent.exists(), "the last one to close it removes it"
