"""Two services over one database of clients and budgets: what is changed at one holds at both, also while it is away."""

from __future__ import annotations

import json
import os
import signal
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx
import pytest

from ..support.budget_policy import ANSWER_TOKENS, policy_for
from ..support.fake_openai import FakeOpenAI
from ..support.ledger_nodes import Nodes, get
from ..support.leftovers import SHARED_CHILDREN
from ..support.postgres_clients import new_url
from ..support.postgres_server import PostgresServer
from ..support.service import HTTP, Service
from ..support.waiting import eventually

ANSWERS = 10
"""For so many the budget of `spender` has money."""


@pytest.fixture(scope="module")
def clients(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PostgresServer]:
    """A server of its own, which a test may stop while the log goes on."""
    with PostgresServer() as server:
        yield server


@pytest.fixture(scope="module")
def nodes(
    tmp_path_factory: pytest.TempPathFactory, postgres: PostgresServer, clients: PostgresServer, fake: FakeOpenAI
) -> Iterator[Nodes]:
    folder = tmp_path_factory.mktemp("nodes")
    policy = policy_for(folder, fake, ANSWERS * ANSWER_TOKENS, cap=ANSWER_TOKENS)
    path = Path(policy["POLICY_FILE"])
    path.write_text(path.read_text().replace('"alice"', '"spender"'))
    made = Nodes(folder, postgres, DATABASE_URL=new_url(clients).text, SHUTDOWN_NOTICE_SECONDS="0.5", **policy)
    with made.one, made.other:
        yield made


@pytest.fixture(scope="module")
def token(nodes: Nodes) -> str:
    return nodes.one.token(*nodes.client)


def start(service: Service | PostgresServer) -> None:
    """Again, for the tests that follow."""
    service.start()
    assert service.pid
    SHARED_CHILDREN.add(service.pid)


def ready(service: Service) -> dict[str, Any]:
    return dict(HTTP.get(f"{service.url}/readyz").json())


def test_who_is_added_and_refused_at_one_is_so_at_both(nodes: Nodes) -> None:
    secret = nodes.other.add_client("carol")
    carol = nodes.one.token("carol", secret)
    for service in (nodes.one, nodes.other):
        assert service.ask(carol).status_code == 200
    nodes.one.cli("clients", "disable", "carol")
    for service in (nodes.one, nodes.other):
        eventually(lambda service=service: service.ask(carol).status_code == 401)  # type: ignore[misc]


def test_each_record_names_the_machine_that_wrote_it(nodes: Nodes, token: str) -> None:
    for service in (nodes.one, nodes.other):
        receipt = service.ask(token).json()["receipt"]
        record = json.loads(get(nodes.other, token, f"/audit/entries/{receipt['seq']}"))
        assert record["details"]["node"] == service.env["NODE_NAME"] == ready(service)["node"]
        assert ready(service)["nodes"] == "alike"


def test_a_budget_is_one_over_both_to_the_last_token(nodes: Nodes) -> None:
    spender = nodes.one.token("spender", nodes.one.add_client("spender"))
    with ThreadPoolExecutor(16) as pool:
        statuses = list(pool.map(lambda number: (nodes.one, nodes.other)[number % 2].ask(spender).status_code, range(60)))
    answered = statuses.count(200)
    while (last := nodes.other.ask(spender)).status_code == 200:  # money for what was reserved and not spent
        answered += 1
    assert (answered, last.status_code, set(statuses)) == (ANSWERS, 429, {200, 429})
    assert nodes.other.cli("budget", "audit")["differences"] == []
    nodes.other.cli("budget", "add", "principal=spender/month/money", f"{ANSWER_TOKENS / 1000}")
    assert [nodes.one.ask(spender).status_code for _ in range(2)] == [200, 429]
    assert nodes.one.cli("budget", "audit")["differences"] == []


def test_one_sighup_switches_the_policy_of_both(nodes: Nodes, token: str) -> None:
    path = Path(nodes.one.env["POLICY_FILE"])
    path.write_text(path.read_text() + '[models.second]\nserver = "local"\n[prices.second]\ninput = 0\noutput = 1\n')
    os.kill(nodes.one.pid, signal.SIGHUP)
    for service in (nodes.one, nodes.other):
        eventually(lambda service=service: b"second" in get(service, token, "/v1/models"))  # type: ignore[misc]
        eventually(lambda service=service: ready(service)["nodes"] == "alike")  # type: ignore[misc]
        assert "nodes_differ" not in "".join(service.security_log("policy_changed"))


def test_a_machine_with_another_setting_is_refused_by_its_name(nodes: Nodes) -> None:
    nodes.other.stop()
    limit = nodes.other.env["RATE_LIMIT"]
    nodes.other.env["RATE_LIMIT"] = "61"
    refused = nodes.other.run("serve", "--port", str(nodes.other.port), status=2)
    assert "Node one serves with another RATE_LIMIT than this one: make them alike" in refused.stderr
    nodes.other.env["RATE_LIMIT"] = limit
    start(nodes.other)


class Balancer:
    """Asks whichever service is ready, as a load balancer does, until it is stopped."""

    def __init__(self, nodes: Nodes, token: str) -> None:
        self._services, self._token = (nodes.one, nodes.other), token
        self.answers: list[int] = []
        self._is_over = threading.Event()
        self._threads = [threading.Thread(target=self._ask, args=(number,)) for number in range(3)]

    def __enter__(self) -> Balancer:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._is_over.set()
        for thread in self._threads:
            thread.join()

    def _ask(self, turn: int) -> None:
        while not self._is_over.is_set():
            turn += 1
            service = self._services[turn % 2]
            if self._is_ready(service):
                with suppress(httpx.ConnectError):  # refused: nothing was sent, and the next one is asked
                    self.answers.append(service.ask(self._token).status_code)

    def _is_ready(self, service: Service) -> bool:
        """One that is about to listen, or to stop, may not even answer this."""
        try:
            return HTTP.get(f"{service.url}/readyz", timeout=5).status_code == 200
        except httpx.HTTPError:
            return False


def test_one_after_the_other_may_be_restarted_and_upgraded(nodes: Nodes, token: str, clients: PostgresServer) -> None:
    """The schema is that of a later release, which says that this one may run beside it."""
    database = nodes.one.env["DATABASE_URL"].rpartition("/")[2]
    with Balancer(nodes, token) as balancer:
        eventually(lambda: len(balancer.answers) > 5)
        clients.query("UPDATE assistant.alembic_version SET version_num = '9999'", database=database)
        for service in (nodes.one, nodes.other):
            assert service.stop() == 0
            before = len(balancer.answers)
            eventually(lambda before=before: len(balancer.answers) > before + 3)  # type: ignore[misc]
            start(service)
            before = len(balancer.answers)
            eventually(lambda before=before: len(balancer.answers) > before + 3)  # type: ignore[misc]
    assert set(balancer.answers) == {200}
    nodes.one.stop()
    clients.query("UPDATE assistant.side_by_side SET oldest_code = '9999'", database=database)
    refused = nodes.one.run("serve", "--port", str(nodes.one.port), status=2)
    assert "comes from a newer version: install that one." in refused.stderr
    clients.query("UPDATE assistant.alembic_version SET version_num = '0005'", database=database)
    clients.query("UPDATE assistant.side_by_side SET oldest_code = '0005'", database=database)
    start(nodes.one)


def test_while_the_clients_are_away_known_tokens_go_on(nodes: Nodes, token: str, clients: PostgresServer) -> None:
    form = {"grant_type": "client_credentials", "client_id": nodes.client[0], "client_secret": nodes.client[1]}
    clients.crash()
    for service in (nodes.one, nodes.other):
        eventually(lambda service=service: ready(service)["revocations"].startswith("stale"))  # type: ignore[misc]
        assert service.ask(token).status_code == 200
        refused = HTTP.post(f"{service.url}/token", data=form)
        assert (refused.status_code, refused.json()["error"], refused.headers["retry-after"]) == (
            503,
            "temporarily_unavailable",
            "1",
        )
    start(clients)
    for service in (nodes.one, nodes.other):
        eventually(lambda service=service: ready(service)["revocations"] == "up to date")  # type: ignore[misc]
        assert HTTP.post(f"{service.url}/token", data=form).status_code == 200
