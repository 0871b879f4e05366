"""Rate limits hold exactly, over all workers, whatever the environment or the wall clock says."""

from __future__ import annotations

import os
import signal
import socket
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest

from app.limits.networks import network_of

from ..support.calls import FORM, bearer, check_oauth_error, check_problem, refusal
from ..support.fake_openai import FakeOpenAI
from ..support.service import HTTP, Service

WINDOW = 60
LIMIT = 8


# --- one principal, over HTTP ------------------------------------------------------------------------


@pytest.fixture(scope="module", params=[1, 3], ids=["1 worker", "3 workers"])
def limited(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, fake: FakeOpenAI) -> Iterator[Service]:
    """slowapi alone would obey RATELIMIT_ENABLED in the environment and in .env."""
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
    assert list(details.values())[:5] == [429, "rate_limited", "POST", "/ask", "127.0.0.1"]
    assert details["credential"].startswith("token:")


def test_others_have_buckets_of_their_own_and_every_proven_call_counts(limited: Service) -> None:
    """The limit is checked before role and body, so that neither evades it."""
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
    """Low limits on failures and single records, and a proxy, so that each test has its own addresses."""
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
    stopped = ask_from(strict, "203.0.113.1", "x.y.z")
    check_problem(stopped, 429, "rate_limited")
    assert 1 <= int(stopped.headers["retry-after"]) <= WINDOW
    assert statuses(strict, "203.0.113.1", good, 1) == [200], "others of that address fail, not this caller"
    assert statuses(strict, "203.0.113.2", good, 1) == [200]


def test_wrong_secrets_charge_the_same_bucket(strict: Service, secret: str, good: str) -> None:
    def fetch(by: str) -> httpx.Response:
        headers = {"X-Forwarded-For": "203.0.113.3"}
        return HTTP.post(strict.url + "/token", data=FORM, auth=("alice", by), headers=headers)

    assert [fetch(by).status_code for by in ("a", secret, "b", secret, "c", "d", "e")] == [401, 200, 401, 200, 401, 401, 401]
    check_oauth_error(fetch(secret), 429, "temporarily_unavailable")
    assert statuses(strict, "203.0.113.3", "x.y.z", 1) == [429]


def test_an_ipv6_subscriber_is_one_address(strict: Service, good: str) -> None:
    for number in range(5):
        assert statuses(strict, f"2001:db8:1:2:{number}::{number:x}", "x.y.z", 1) == [401]
    assert statuses(strict, "2001:db8:1:2:ffff::1", "x.y.z", 1) == [429]
    assert statuses(strict, "2001:db8:1:3::1", "x.y.z", 1) == [401]


# --- the records of refusals -------------------------------------------------------------------------


def test_refusals_past_the_bound_are_summed_up_when_the_service_stops(tmp_path: Path, fake: FakeOpenAI) -> None:
    env: dict[str, Any] = {"AUDIT_REFUSALS_PER_MINUTE": "7"}
    service = Service(tmp_path, workers=2, OPENAI_BASE_URL=fake.base_url, **env).start()
    alice, bobby = (service.token(name, service.add_client(name)) for name in ("alice", "bobby"))
    for _ in range(20):
        HTTP.post(service.url + "/ask", content=b"{", headers={**bearer(alice), "Content-Type": "application/json"})
        HTTP.post(service.url + "/ask", content=b"{}", headers={**bearer(alice), "Content-Type": "application/json"})
        HTTP.post(service.url + "/ask", content=b"", headers=bearer(bobby))
        HTTP.get(service.url + "/nothing")
    assert service.ask(alice).status_code == 200, "the bound on records must not limit answers"
    service.stop()
    records = service.records()
    single = Counter(record["user_id"] for record in records if record["action"] == "request.refused")
    assert single == {"alice": 7, "bobby": 7, None: 7}
    summaries = [record["details"] for record in records if record["action"] == "request.refused_summary"]
    counted = Counter[tuple[str, str]]()
    for summary in summaries:
        assert list(summary) == ["total", "refusals", "others", "codes", "networks"]
        assert summary["total"] == sum(row["count"] for row in summary["refusals"]) + summary["others"]
        for row in summary["refusals"]:
            counted[row.get("user_id") or row["address"], row["code"]] += row["count"]
    assert counted["bobby", "unsupported_media_type"] == counted["127.0.0.1", "not_found"] == 13
    assert counted["alice", "malformed_json"] + counted["alice", "invalid_request"] == 33
    assert counted.total() == sum(summary["total"] for summary in summaries) == 13 + 13 + 33
    assert service.verify()["ok"]


FLOODED = ["203.0.113.7", "2001:db8::1", "2001:db8::2", "198.51.100.1"]  # two of them count as one subscriber


def test_a_flood_on_four_workers_adds_up_for_each_principal_and_address(tmp_path: Path, fake: FakeOpenAI) -> None:
    """Single records and summaries together show exactly how many requests were refused, and why."""
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
    reported = reported_refusals(service)
    assert sent == {415: 120, 401: reported.total("token_malformed"), 429: reported.total("rate_limited")}
    assert sent.total() == reported.total() == 60 * len(calls)
    assert {who: reported.total(who=who) for who in ("alice", "bobby")} == {"alice": 60, "bobby": 60}
    assert {who: reported.total(who=who) for who in ("203.0.113.7", "198.51.100.1")} == {"203.0.113.7": 60, "198.51.100.1": 60}
    assert reported.total(who="2001:db8::/64") == 120
    assert max(Counter(who for who, _ in reported.single.elements()).values()) == 20
    assert service.verify()["ok"]


class Reported:
    """Refusals in the records by (principal or address, code): singly, and in summaries."""

    def __init__(self) -> None:
        self.single, self.summed = Counter[tuple[str, str]](), Counter[tuple[str, str]]()

    def total(self, code: str | None = None, *, who: str | None = None) -> int:
        both = self.single + self.summed
        return sum(count for (one, its), count in both.items() if code in (None, its) and who in (None, one))


def reported_refusals(service: Service) -> Reported:
    reported = Reported()
    for record in service.records():
        details = record["details"]
        if record["action"] == "request.refused":
            reported.single[record["user_id"] or network_of(details["address"]), details["code"]] += 1
        elif record["action"] == "request.refused_summary":
            assert details["total"] == sum(row["count"] for row in details["refusals"]) + details["others"]
            reported.summed.update(
                {(row.get("user_id") or row["address"], row["code"]): row["count"] for row in details["refusals"]}
            )
    return reported


def test_what_killed_processes_had_counted_is_in_one_summary(tmp_path: Path, fake: FakeOpenAI) -> None:
    """First two of three workers are killed, then the whole service: the next one has the counts of both."""
    env: dict[str, Any] = {"AUDIT_REFUSALS_PER_MINUTE": "3", "OPENAI_BASE_URL": fake.base_url}
    service = Service(tmp_path, workers=3, **env).start()

    def refuse(times: int) -> None:
        for _ in range(times):
            assert HTTP.get(service.url + "/nothing").status_code == 404

    refuse(20)
    for pid in service.worker_pids()[1:]:
        os.kill(pid, signal.SIGKILL)
    service.wait_ready()
    refuse(10)
    service.kill()
    service.start()
    service.stop()
    reported = reported_refusals(service)
    assert (reported.single.total(), reported.total("not_found")) == (3, 30)
    assert sum(record["action"] == "request.refused_summary" for record in service.records()) <= 2
    assert service.verify()["ok"]


def test_invalid_http_is_counted_and_adds_up_too(tmp_path: Path, fake: FakeOpenAI) -> None:
    service = Service(tmp_path, workers=2, OPENAI_BASE_URL=fake.base_url).start()
    for _ in range(30):
        with socket.create_connection(("127.0.0.1", service.port), timeout=20) as stranger:
            stranger.sendall(b"\x16\x03\x01\r\n\r\n")
            assert stranger.recv(65536).startswith(b"HTTP/1.1 400 ")
    service.stop()
    reported = reported_refusals(service)
    assert (reported.single.total(), reported.total("malformed_http", who="127.0.0.1")) == (0, 30)
