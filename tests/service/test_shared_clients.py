"""Two services over one database of clients and budgets: what is changed at one holds at both, also while it is away."""

from __future__ import annotations

import json
import os
import re
import signal
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest

from ..faults.callers import HEALTH, ask, token_of
from ..faults.nodes import clients as faults
from ..support.budget_policy import ANSWER_TOKENS, policy_for
from ..support.calls import bearer
from ..support.cutting_proxy import CuttingProxy
from ..support.fake_openai import FakeOpenAI
from ..support.ledger_nodes import Nodes, get
from ..support.leftovers import SHARED_CHILDREN
from ..support.nodes import running
from ..support.postgres_clients import new_url
from ..support.postgres_server import PostgresServer
from ..support.service import HTTP, Service, free_port
from ..support.waiting import eventually

ANSWERS = 10
"""For so many the budget of `spender` has money."""


@pytest.fixture(scope="module")
def clients(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PostgresServer]:
    """A server of its own, which a test may stop while the log goes on."""
    with PostgresServer() as server:
        yield server


@pytest.fixture(scope="module")
def proxy(clients: PostgresServer) -> Iterator[CuttingProxy]:
    with CuttingProxy(clients.port) as proxy:
        yield proxy


@pytest.fixture(scope="module")
def nodes(
    tmp_path_factory: pytest.TempPathFactory,
    postgres: PostgresServer,
    clients: PostgresServer,
    proxy: CuttingProxy,
    fake: FakeOpenAI,
) -> Iterator[Nodes]:
    folder = tmp_path_factory.mktemp("nodes")
    policy = policy_for(folder, fake, ANSWERS * ANSWER_TOKENS, cap=ANSWER_TOKENS, principal="spender")
    url = new_url(clients).text.replace(f":{clients.port}/", f":{proxy.port}/")
    made = Nodes(folder, postgres, DATABASE_URL=url, SHUTDOWN_NOTICE_SECONDS="0.5", **policy)
    with running([made.one, made.other]):
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
        entry = f"/audit/entries/{receipt['seq']}"
        eventually(lambda entry=entry: b'"details"' in get(nodes.other, token, entry))  # type: ignore[misc]  # once it is signed
        record = json.loads(get(nodes.other, token, entry))
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


def test_of_two_admins_who_disable_each_other_at_two_nodes_one_stays(nodes: Nodes) -> None:
    names = ["anna", "otto"]
    tokens = {name: nodes.one.token(name, nodes.one.add_client(name, "ai.admin")) for name in names}

    def change(service: Service, who: str, what: str) -> str:
        answer = HTTP.post(f"{service.url}/admin/clients/{what}", headers=bearer(tokens[who]))
        return "done" if answer.status_code == 200 else str(answer.json()["code"])

    for _ in range(5):
        calls = [(nodes.one, "anna", "otto/disable"), (nodes.other, "otto", "anna/disable")]
        with ThreadPoolExecutor(2) as pool:
            ended = list(pool.map(lambda call: change(*call), calls))
        assert ended.count("done") == 1
        assert set(ended) <= {"done", "last_admin", "invalid_token"}
        stays, other = names if ended[0] == "done" else names[::-1]
        assert change(nodes.one, stays, f"{other}/enable") == "done"
        for service in (nodes.one, nodes.other):
            shown = f"{service.url}/admin/clients"
            eventually(lambda shown=shown, other=other: HTTP.get(shown, headers=bearer(tokens[other])).status_code == 200)  # type: ignore[misc]


def test_records_of_both_nodes_are_searched_and_summed_up_at_each(nodes: Nodes, token: str) -> None:
    seqs = {service.ask(token).json()["receipt"]["seq"] for service in (nodes.one, nodes.other)}

    def found(service: Service) -> set[int]:
        answer = HTTP.get(f"{service.url}/audit/search?action=ask.answered&limit=200", headers=bearer(token))
        return {one["seq"] for one in answer.json().get("records", ())}

    for service in (nodes.one, nodes.other):
        eventually(lambda service=service: seqs <= found(service))  # type: ignore[misc]

    def usage(service: Service) -> dict[str, Any]:
        return dict(HTTP.get(f"{service.url}/usage", headers=bearer(token)).json())

    eventually(lambda: usage(nodes.one) == usage(nodes.other))  # a search that came too early was recorded, too
    assert usage(nodes.one)["rows"][-1]["answered"] >= len(seqs)


def test_one_sighup_switches_the_policy_of_both(nodes: Nodes, token: str) -> None:
    path = Path(nodes.one.env["POLICY_FILE"])
    path.write_text(path.read_text() + '[models.second]\nserver = "local"\n[prices.second]\ninput = 0\noutput = 1\n')
    os.kill(nodes.one.pid, signal.SIGHUP)
    for service in (nodes.one, nodes.other):
        eventually(lambda service=service: b"second" in get(service, token, "/v1/models"))  # type: ignore[misc]
        eventually(lambda service=service: ready(service)["nodes"] == "alike")  # type: ignore[misc]
        assert "nodes_differ" not in "".join(service.security_log("policy_changed"))


def test_a_machine_with_another_setting_is_refused_by_its_name(nodes: Nodes) -> None:
    limit = nodes.other.env["RATE_LIMIT"]
    nodes.other.env["RATE_LIMIT"] = "61"
    refused = nodes.other.run("serve", "--port", str(free_port()), status=2)
    assert re.search("Node (one|other) serves with another RATE_LIMIT than this one: make them alike", refused.stderr)
    nodes.other.env["RATE_LIMIT"] = limit


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
    clients.query("UPDATE assistant.side_by_side SET oldest_code = '9999'", database=database)
    refused = nodes.one.run("serve", "--port", str(free_port()), status=2)
    assert "comes from a newer version: install that one." in refused.stderr
    clients.query("UPDATE assistant.alembic_version SET version_num = '0005'", database=database)
    clients.query("UPDATE assistant.side_by_side SET oldest_code = '0005'", database=database)


@pytest.mark.parametrize("fault", ["ends in mid-answer", "wants another password"])
def test_a_failing_database_of_clients_ends_no_known_token(
    nodes: Nodes, token: str, clients: PostgresServer, proxy: CuttingProxy, fault: str
) -> None:
    role = str(urlsplit(nodes.one.env["DATABASE_URL"]).username)
    calls = {"a known token": ask(token), "/token": token_of(*nodes.client), **HEALTH}
    place = faults.Nodes([nodes.one, nodes.other], faults.Outage(clients, proxy, role), token, calls)
    assert len(faults.fail_at(place, [fault], seconds=0.2, clients=2).ready) == 1


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
