"""How often one may call: exactly as the settings say, over all workers, whatever the environment or the wall clock says."""

from __future__ import annotations

import asyncio
import json
import multiprocessing
import os
import signal
import socket
import sqlite3
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from multiprocessing.synchronize import Event
from pathlib import Path
from typing import Any

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from limits import RateLimitItemPerMinute
from limits.strategies import MovingWindowRateLimiter

from app.audit.log import AuditLog
from app.audit.storage.jsonl import JsonlStore
from app.errors import ConfigError, LimitsUnavailable
from app.limits.networks import network_of
from app.limits.rate_limits import Buckets
from app.limits.shared_window import WindowStorage, shared_window_url
from app.security import refusals
from app.security.refusals import RefusalRecorder
from app.security.security_log import SecurityLog
from app.settings import load_settings

from ..support.calls import FORM, bearer, check_oauth_error, check_problem, refusal
from ..support.fake_openai import FakeOpenAI
from ..support.service import HTTP, Service

WINDOW = 60
LIMIT = 8


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


def storage_at(folder: Path, clock: Any = time.monotonic) -> WindowStorage:
    return WindowStorage(f"window://{folder}/limits.sqlite3", clock=clock)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def storage(tmp_path: Path, clock: Clock) -> Iterator[WindowStorage]:
    storage = storage_at(tmp_path, clock)
    yield storage
    storage.close()


# --- the moving window -------------------------------------------------------------------------------

STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("hit"), st.sampled_from("ab"), st.integers(1, 3)),
        st.tuples(st.just("wait"), st.just(""), st.sampled_from([1, 7, 29, 30, 59, 60, 61, 200])),
        st.tuples(st.just("forget"), st.just(""), st.just(0)),
    ),
    max_size=60,
)


class Model:
    """The moving window as anybody would write it down: all hits ever, and those of the last minute counted."""

    def __init__(self) -> None:
        self.hits: dict[str, list[float]] = {"a": [], "b": []}

    def live(self, key: str, now: float) -> list[float]:
        return [at for at in self.hits[key] if at > now - WINDOW]

    def hit(self, key: str, limit: int, amount: int, now: float) -> bool:
        allowed = len(self.live(key, now)) + amount <= limit
        self.hits[key] += [now] * amount * allowed
        return allowed


@settings(deadline=None)
@given(steps=STEPS, limit=st.integers(1, 5))
def test_it_allows_and_counts_what_a_simple_model_allows_and_counts(steps: list[tuple[str, str, int]], limit: int) -> None:
    clock, model = Clock(), Model()
    storage = WindowStorage("window://:memory:", clock=clock)
    for what, key, number in steps:
        if what == "hit":
            assert storage.acquire_entry(key, limit, WINDOW, number) == model.hit(key, limit, number, clock.now)
        elif what == "wait":
            clock.now += number
        else:
            storage.forget_old()
        for one in "ab":
            live = model.live(one, clock.now)
            assert storage.get_moving_window(one, limit, WINDOW) == (live[0] if live else clock.now, len(live))
    storage.close()


def test_a_refusal_names_the_first_moment_at_which_a_call_succeeds(storage: WindowStorage, clock: Clock) -> None:
    limiter, item = MovingWindowRateLimiter(storage), RateLimitItemPerMinute(3)
    for pause in (0, 10, 5):
        clock.now += pause
        assert limiter.hit(item, "alice")
    for _ in range(3):
        assert not limiter.hit(item, "alice")
        reset = limiter.get_window_stats(item, "alice").reset_time
        clock.now = reset - 0.001
        assert not limiter.hit(item, "alice")
        clock.now = reset
        assert limiter.hit(item, "alice")


def test_only_what_a_window_can_still_reach_is_kept(storage: WindowStorage, clock: Clock, tmp_path: Path) -> None:
    def kept() -> int:
        with sqlite3.connect(tmp_path / "limits.sqlite3") as reader:
            return int(reader.execute("SELECT count(*) FROM hits").fetchone()[0])

    for number in range(500):
        storage.acquire_entry("busy", 10, WINDOW)
        storage.acquire_entry(f"once-{number}", 10, WINDOW)
        clock.now += 1
    assert kept() < 600
    storage.forget_old()
    assert kept() <= 70


def test_the_time_of_a_hit_is_taken_while_nobody_else_can_write(tmp_path: Path) -> None:
    """Taken before, it could be older than the hits of those who went first, who then would not count."""
    other = sqlite3.connect(tmp_path / "limits.sqlite3", timeout=0, isolation_level=None)
    asked = []

    def clock() -> float:
        with pytest.raises(sqlite3.OperationalError, match="locked"):
            other.execute("BEGIN IMMEDIATE")
        asked.append(True)
        return 1000.0

    storage = storage_at(tmp_path, clock)
    assert storage.acquire_entry("alice", 1, WINDOW)
    assert asked
    storage.forget_old()
    storage.close()
    other.close()


def test_hits_of_the_future_are_from_before_a_reboot_and_lock_nobody_out(storage: WindowStorage, clock: Clock) -> None:
    assert storage.acquire_entry("alice", 1, WINDOW)
    clock.now = 5.0
    assert storage.get_moving_window("alice", 1, WINDOW) == (5.0, 0)
    assert storage.acquire_entry("alice", 1, WINDOW)
    assert not storage.acquire_entry("alice", 1, WINDOW)
    storage.forget_old()
    assert not storage.acquire_entry("alice", 1, WINDOW)


def test_a_wall_clock_that_jumps_changes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    storage, real = storage_at(tmp_path), time.time
    assert storage.acquire_entry("alice", 1, WINDOW)
    for jump in (-86_400, 86_400):
        monkeypatch.setattr(time, "time", lambda by=jump: real() + by)
        assert not storage.acquire_entry("alice", 1, WINDOW)
        assert storage.get_moving_window("alice", 1, WINDOW)[1] == 1
    storage.close()


# --- many processes ----------------------------------------------------------------------------------


def hammer(folder: Path, start: Event, counts: Any) -> None:
    start.wait()
    storage = storage_at(folder)
    counts.put(sum(storage.acquire_entry("alice", 50, WINDOW) for _ in range(150)))


def test_processes_that_open_it_at_once_allow_exactly_the_limit_together(tmp_path: Path) -> None:
    context = multiprocessing.get_context("fork")
    for number in range(5):
        folder = tmp_path / str(number)
        folder.mkdir(mode=0o700)
        start, counts = context.Event(), context.Queue()
        children = [context.Process(target=hammer, args=(folder, start, counts)) for _ in range(4)]
        for child in children:
            child.start()
        start.set()
        assert sum(counts.get(timeout=60) for _ in children) == 50
        for child in children:
            child.join()


def hold_and_die(folder: Path) -> None:
    storage = storage_at(folder)
    storage._db.execute("BEGIN IMMEDIATE")
    os.kill(os.getpid(), signal.SIGKILL)


def test_a_process_killed_in_the_middle_of_a_hit_holds_nobody_up(tmp_path: Path) -> None:
    storage = storage_at(tmp_path)
    assert storage.acquire_entry("alice", 2, WINDOW)
    child = multiprocessing.get_context("fork").Process(target=hold_and_die, args=(tmp_path,))
    child.start()
    child.join()
    assert [storage.acquire_entry("alice", 2, WINDOW) for _ in range(2)] == [True, False]
    storage.close()


# --- where it is kept --------------------------------------------------------------------------------


def test_a_folder_that_others_can_enter_is_refused(tmp_path: Path) -> None:
    url = shared_window_url(tmp_path / "audit_log.jsonl")
    folder = Path(url.removeprefix("window://")).parent
    assert folder.stat().st_mode & 0o777 == 0o700
    folder.chmod(0o755)
    with pytest.raises(ConfigError, match="open to other users"):
        shared_window_url(tmp_path / "audit_log.jsonl")
    folder.rmdir()
    folder.symlink_to(tmp_path)
    with pytest.raises(ConfigError, match="open to other users"):
        shared_window_url(tmp_path / "audit_log.jsonl")
    folder.unlink()


def test_what_cannot_be_counted_is_not_allowed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    loaded = load_settings(secret_key="s" * 43, audit_log_path=tmp_path / "audit_log.jsonl")
    file = Path(shared_window_url(loaded.audit_log_path).removeprefix("window://"))
    file.write_bytes(b"this is no database" * 100)
    buckets = Buckets(loaded)
    for refused in (buckets.charge_principal, buckets.charge_token, buckets.test_address, buckets.charge_address):
        with pytest.raises(LimitsUnavailable):
            refused("alice")
    assert not buckets.admit_refusal("alice"), "then it is counted in the summary"
    buckets.close()
    assert not file.parent.exists(), "the last one to close it removes it"


# --- one principal, over HTTP ------------------------------------------------------------------------


@pytest.fixture(scope="module", params=[1, 3], ids=["1 worker", "3 workers"])
def limited(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, fake: FakeOpenAI) -> Iterator[Service]:
    """slowapi would read RATELIMIT_ENABLED from the environment and from .env."""
    folder = tmp_path_factory.mktemp("limited")
    env: dict[str, Any] = {"RATE_LIMIT": str(LIMIT), "RATELIMIT_ENABLED": "false"}
    service = Service(folder, workers=request.param, OPENAI_BASE_URL=fake.base_url, **env)
    (folder / ".env").write_text("RATELIMIT_ENABLED=false\n")
    with service:
        yield service


def at_once(count: int, service: Service, token: str) -> list[httpx.Response]:
    with ThreadPoolExecutor(count) as threads:
        return list(threads.map(lambda _: service.ask(token), range(count)))


def test_five_times_as_many_at_once_get_exactly_the_limit(limited: Service, fake: FakeOpenAI) -> None:
    token, calls = limited.token("alice", limited.add_client("alice")), fake.calls()
    responses = at_once(5 * LIMIT, limited, token)
    assert Counter(response.status_code for response in responses) == {200: LIMIT, 429: 4 * LIMIT}
    assert fake.calls() == calls + LIMIT
    for response in responses:
        headers = response.headers
        assert headers["ratelimit-policy"] == f'"rpm";q={LIMIT};w=60'
        assert headers["x-ratelimit-limit-requests"] == str(LIMIT)
    left = sorted(int(r.headers["x-ratelimit-remaining-requests"]) for r in responses if r.status_code == 200)
    assert all(0 <= number < LIMIT for number in left)
    for response in responses:
        if response.status_code == 429:
            check_too_many(limited, response)


def check_too_many(service: Service, response: httpx.Response) -> None:
    check_problem(response, 429, "rate_limited")
    wait = int(response.headers["retry-after"])
    assert 1 <= wait <= WINDOW
    assert response.headers["ratelimit"] == f'"rpm";r=0;t={wait}'
    assert response.headers["x-ratelimit-remaining-requests"] == "0"
    assert response.headers["x-ratelimit-reset-requests"] == f"{wait}s"
    details = refusal(service, response)["details"]
    assert list(details.values()) == [429, "rate_limited", "POST", "/ask", "127.0.0.1"]


def test_others_have_buckets_of_their_own_and_every_proven_call_counts(limited: Service) -> None:
    """The bucket comes before the role and the body, so that neither is a way around it."""
    reader = limited.token("reader", limited.add_client("reader", "ai.audit.reader"))
    assert [limited.ask(reader).status_code for _ in range(LIMIT + 1)] == [403] * LIMIT + [429]
    bobby = limited.token("bobby", limited.add_client("bobby"))
    sent = [HTTP.post(limited.url + "/ask", content=b"{", headers=bearer(bobby)).status_code for _ in range(LIMIT + 1)]
    assert sent == [415] * LIMIT + [429]


def test_another_token_of_the_same_client_shares_its_bucket(limited: Service) -> None:
    secret = limited.add_client("carol")
    tokens = [limited.token("carol", secret) for _ in range(3)]
    assert [limited.ask(tokens[n % 3]).status_code for n in range(LIMIT + 1)] == [200] * LIMIT + [429]


def test_a_client_fetches_at_most_60_tokens_a_minute(limited: Service) -> None:
    secret = limited.add_client("david")

    def fetch() -> httpx.Response:
        return HTTP.post(limited.url + "/token", data=FORM, auth=("david", secret))

    responses = [fetch() for _ in range(61)]
    assert [response.status_code for response in responses] == [200] * 60 + [429]
    check_oauth_error(responses[-1], 429, "temporarily_unavailable")
    assert 1 <= int(responses[-1].headers["retry-after"]) <= WINDOW
    assert refusal(limited, responses[-1])["user_id"] == "david"


# --- one address, over HTTP --------------------------------------------------------------------------


@pytest.fixture(scope="module")
def strict(tmp_path_factory: pytest.TempPathFactory, fake: FakeOpenAI) -> Iterator[Service]:
    """Few failures and few single records, and a proxy, so that a test has addresses of its own."""
    env: dict[str, Any] = {"ADDRESS_RATE_LIMIT": "5", "AUDIT_REFUSALS_PER_MINUTE": "7", "TRUSTED_PROXIES": "127.0.0.1"}
    with Service(tmp_path_factory.mktemp("strict"), OPENAI_BASE_URL=fake.base_url, **env) as running:
        yield running


@pytest.fixture(scope="module")
def secret(strict: Service) -> str:
    return strict.add_client("alice")


@pytest.fixture(scope="module")
def good(strict: Service, secret: str) -> str:
    return strict.token("alice", secret)


def ask_from(service: Service, address: str, token: str) -> httpx.Response:
    headers = {**bearer(token), "X-Forwarded-For": address}
    return HTTP.post(service.url + "/ask", json={"query": "hi"}, headers=headers)


def statuses(service: Service, address: str, token: str, count: int) -> list[int]:
    return [ask_from(service, address, token).status_code for _ in range(count)]


def test_failed_proofs_stop_an_address_and_only_they_charge_it(strict: Service, good: str) -> None:
    assert statuses(strict, "203.0.113.1", good, 20) == [200] * 20
    assert statuses(strict, "203.0.113.1", "x.y.z", 6) == [401] * 5 + [429]
    stopped = ask_from(strict, "203.0.113.1", good)
    check_problem(stopped, 429, "rate_limited")
    assert 1 <= int(stopped.headers["retry-after"]) <= WINDOW
    assert refusal(strict, stopped)["user_id"] is None, "nobody was proven: the address is looked at first"
    assert statuses(strict, "203.0.113.2", good, 1) == [200]


def test_wrong_secrets_charge_the_same_bucket(strict: Service, secret: str, good: str) -> None:
    def fetch(by: str) -> httpx.Response:
        headers = {"X-Forwarded-For": "203.0.113.3"}
        return HTTP.post(strict.url + "/token", data=FORM, auth=("alice", by), headers=headers)

    assert [fetch(by).status_code for by in ("a", secret, "b", secret, "c", "d", "e")] == [401, 200, 401, 200, 401, 401, 401]
    check_oauth_error(fetch(secret), 429, "temporarily_unavailable")
    assert statuses(strict, "203.0.113.3", good, 1) == [429]


def test_an_ipv6_subscriber_is_one_address(strict: Service, good: str) -> None:
    for number in range(5):
        assert statuses(strict, f"2001:db8:1:2:{number}::{number:x}", "x.y.z", 1) == [401]
    assert statuses(strict, "2001:db8:1:2:ffff::1", good, 1) == [429]
    assert statuses(strict, "2001:db8:1:3::1", good, 1) == [200]


@pytest.mark.parametrize(
    ("address", "network"),
    [
        ("203.0.113.7", "203.0.113.7"),
        ("::ffff:203.0.113.7", "203.0.113.7"),
        ("2001:db8::1", "2001:db8::/64"),
        ("2001:DB8:0:0:ffff:ffff:ffff:ffff", "2001:db8::/64"),
        ("::1", "::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("unknown", "unknown"),
        ("testclient", "testclient"),
    ],
)
def test_what_one_address_bucket_covers(address: str, network: str) -> None:
    assert network_of(address) == network


# --- the records of refusals -------------------------------------------------------------------------


def test_refusals_past_the_bound_are_counted_and_summed_up_when_the_service_stops(tmp_path: Path, fake: FakeOpenAI) -> None:
    env: dict[str, Any] = {"AUDIT_REFUSALS_PER_MINUTE": "7"}
    service = Service(tmp_path, workers=2, OPENAI_BASE_URL=fake.base_url, **env).start()
    alice, bobby = (service.token(name, service.add_client(name)) for name in ("alice", "bobby"))
    for _ in range(20):
        HTTP.post(service.url + "/ask", content=b"{", headers={**bearer(alice), "Content-Type": "application/json"})
        HTTP.post(service.url + "/ask", content=b"{}", headers={**bearer(alice), "Content-Type": "application/json"})
        HTTP.post(service.url + "/ask", content=b"", headers=bearer(bobby))
        HTTP.get(service.url + "/nothing")
    assert service.ask(alice).status_code == 200, "a bound on records is no bound on answers"
    service.stop()
    records = service.records()
    single = Counter(record["user_id"] for record in records if record["action"] == "request.refused")
    assert single == {"alice": 7, "bobby": 7, None: 7}
    summaries = [record["details"] for record in records if record["action"] == "request.refused_summary"]
    counted = Counter[tuple[str, str]]()
    for summary in summaries:
        assert list(summary) == ["total", "refusals", "others"]
        assert summary["total"] == sum(row["count"] for row in summary["refusals"]) + summary["others"]
        for row in summary["refusals"]:
            counted[row.get("user_id") or row["address"], row["code"]] += row["count"]
    assert counted["bobby", "unsupported_media_type"] == counted["127.0.0.1", "not_found"] == 13
    assert counted["alice", "malformed_json"] + counted["alice", "invalid_request"] == 33
    assert counted.total() == sum(summary["total"] for summary in summaries) == 13 + 13 + 33
    assert service.verify()["ok"]


FLOODED = ["203.0.113.7", "2001:db8::1", "2001:db8::2", "198.51.100.1"]  # two of them are one subscriber


def test_a_flood_on_four_workers_adds_up_for_every_principal_and_every_address(tmp_path: Path, fake: FakeOpenAI) -> None:
    """Whoever sends it, single records and summaries together tell exactly how many were refused, and for what."""
    env: dict[str, Any] = {"AUDIT_REFUSALS_PER_MINUTE": "20", "TRUSTED_PROXIES": "127.0.0.1", "ADDRESS_RATE_LIMIT": "30"}
    service = Service(tmp_path, workers=4, OPENAI_BASE_URL=fake.base_url, **env).start()
    tokens = [service.token(name, service.add_client(name)) for name in ("alice", "bobby")]
    calls = [(token, "127.0.0.1") for token in tokens] + [("x.y.z", address) for address in FLOODED]

    def send(call: tuple[str, str]) -> int:
        token, address = call
        headers = {**bearer(token), "X-Forwarded-For": address}
        return HTTP.post(service.url + "/ask", content=b"", headers=headers).status_code

    with ThreadPoolExecutor(8) as threads:
        sent = Counter(threads.map(send, calls * 60))
    service.stop()
    told = told_refusals(service)
    assert sent == {415: 120, 401: told.total("token_malformed"), 429: told.total("rate_limited")}
    assert sent.total() == told.total() == 60 * len(calls)
    assert {who: told.total(who=who) for who in ("alice", "bobby")} == {"alice": 60, "bobby": 60}
    assert {who: told.total(who=who) for who in ("203.0.113.7", "198.51.100.1")} == {"203.0.113.7": 60, "198.51.100.1": 60}
    assert told.total(who="2001:db8::/64") == 120
    assert max(Counter(who for who, _ in told.single.elements()).values()) == 20
    assert service.verify()["ok"]


class Told:
    """What the records say was refused, by (who, code): singly, and in summaries."""

    def __init__(self) -> None:
        self.single, self.summed = Counter[tuple[str, str]](), Counter[tuple[str, str]]()

    def total(self, code: str | None = None, *, who: str | None = None) -> int:
        both = self.single + self.summed
        return sum(count for (one, its), count in both.items() if code in (None, its) and who in (None, one))


def told_refusals(service: Service) -> Told:
    told = Told()
    for record in service.records():
        details = record["details"]
        if record["action"] == "request.refused":
            told.single[record["user_id"] or network_of(details["address"]), details["code"]] += 1
        elif record["action"] == "request.refused_summary":
            assert details["total"] == sum(row["count"] for row in details["refusals"]) + details["others"]
            told.summed.update({(row.get("user_id") or row["address"], row["code"]): row["count"] for row in details["refusals"]})
    return told


def test_what_strangers_send_that_is_no_http_is_bounded_and_adds_up_too(tmp_path: Path, fake: FakeOpenAI) -> None:
    service = Service(tmp_path, workers=2, OPENAI_BASE_URL=fake.base_url, AUDIT_REFUSALS_PER_MINUTE="5").start()
    for _ in range(30):
        with socket.create_connection(("127.0.0.1", service.port), timeout=20) as stranger:
            stranger.sendall(b"\x16\x03\x01\r\n\r\n")
            assert stranger.recv(65536).startswith(b"HTTP/1.1 400 ")
    service.stop()
    told = told_refusals(service)
    assert (told.single.total(), told.total("malformed_http", who="127.0.0.1")) == (5, 30)


# --- the recorder, when the log fails it -------------------------------------------------------------


class Recorder:
    """A real log with its recorder, which admits the first *admitted* refusals of each key to records of their own."""

    def __init__(self, folder: Path, admitted: int = 1) -> None:
        self.path = folder / "audit_log.jsonl"
        self.log = AuditLog(JsonlStore(self.path), timeout_seconds=1.0)
        self.log.create({})
        self.events = folder / "security.log"
        seen = Counter[str]()

        def admit(key: str) -> bool:
            seen[key] += 1
            return seen[key] <= admitted

        self.recorder = RefusalRecorder(self.log, SecurityLog(self.events), admit)

    async def refuse(self, times: int = 1, address: str = "203.0.113.1") -> None:
        for _ in range(times):
            details = {"status": 404, "code": "not_found", "address": address}
            await self.recorder.record(user_id=None, request_id="0" * 32, details=details)

    def told(self) -> tuple[int, int]:
        """How many are recorded singly, and how many in summaries."""
        records = [json.loads(line) for line in self.path.read_bytes().splitlines()]
        singles = sum(one["action"] == "request.refused" for one in records)
        return singles, sum(one["details"].get("total", 0) for one in records)


def test_a_refusal_whose_record_cannot_be_written_is_told_by_the_next_summary(tmp_path: Path) -> None:
    async def main() -> None:
        one = Recorder(tmp_path, admitted=2)
        async with one.log:
            await one.refuse()
            one.path.rename(tmp_path / "away")
            await one.refuse(3)
            await one.recorder.summarise()
            (tmp_path / "away").rename(one.path)
            while one.log.closed_because is not None:
                await asyncio.sleep(0.01)
            await one.refuse(4)
            await one.recorder.close()
        assert one.told() == (1, 7)

    asyncio.run(asyncio.wait_for(main(), 60))


def test_a_summary_that_is_cut_short_by_the_end_of_the_service_is_still_written_once(tmp_path: Path) -> None:
    async def main() -> None:
        one = Recorder(tmp_path, admitted=1)
        async with one.log:
            await one.refuse(5)
            summing = asyncio.create_task(one.recorder.summarise_forever())
            while not one.recorder._summing.locked():
                await asyncio.sleep(0)
            summing.cancel()
            await asyncio.gather(summing, return_exceptions=True)
            await one.refuse(2)
            await one.recorder.close()
        assert one.told() == (1, 6)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(refusals, "SUMMARY_SECONDS", 0)
        asyncio.run(asyncio.wait_for(main(), 60))


def test_a_caller_whose_refusal_is_cut_short_is_still_recorded(tmp_path: Path) -> None:
    async def main() -> None:
        one = Recorder(tmp_path)
        async with one.log:
            refusing = asyncio.create_task(one.refuse())
            await asyncio.sleep(0)
            refusing.cancel()
            await asyncio.gather(refusing, return_exceptions=True)
        assert one.told() == (1, 0)

    asyncio.run(asyncio.wait_for(main(), 60))


def test_what_the_last_summary_cannot_tell_is_told_by_the_security_log(tmp_path: Path) -> None:
    async def main() -> None:
        one = Recorder(tmp_path)
        async with one.log:
            one.path.rename(tmp_path / "away")
            await one.refuse(3)
            await one.recorder.close()
        assert " ERROR refusals_not_summed_up total=3\n" in one.events.read_text()

    asyncio.run(asyncio.wait_for(main(), 60))


def test_more_kinds_of_refusal_than_a_summary_names_are_still_counted(tmp_path: Path) -> None:
    async def main() -> None:
        one = Recorder(tmp_path, admitted=0)
        async with one.log:
            for number in range(refusals.MAX_KINDS + 50):
                await one.refuse(1, f"198.18.{number // 250}.{number % 250}")
            await one.recorder.close()
        assert one.told() == (0, refusals.MAX_KINDS + 50)
        summary = json.loads(one.path.read_bytes().splitlines()[-1])["details"]
        assert len(summary["refusals"]) == refusals.MAX_ROWS
        assert summary["others"] == summary["total"] - sum(row["count"] for row in summary["refusals"])

    asyncio.run(asyncio.wait_for(main(), 60))
