"""Metrics over sockets: one port for all workers, counters that outlive a worker, a real Prometheus that scrapes them."""

from __future__ import annotations

import json
import os
import re
import signal
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import httpx
import pytest

from ..support.fake_openai import FakeOpenAI
from ..support.paths import ROOT
from ..support.prometheus import Prometheus, promtool, scraping
from ..support.sdk import client_of
from ..support.service import HTTP, Service, free_port, name_of
from ..support.waiting import eventually
from ..support.windows import remove_windows

QUESTIONS = 40
STRANGERS = 100
POLICY = """
[servers.lab]
base_url = "{url}"
[models.gpt-4o-mini]
server = "lab"
[prices.gpt-4o-mini]
input = 1000
output = 2000
[[budgets]]
tokens = 1000000
per = "day"
[[budgets]]
principal = "alice"
tokens = 900000
per = "day"
"""


@pytest.fixture(scope="module")
def watched(tmp_path_factory: pytest.TempPathFactory, fake: FakeOpenAI) -> Iterator[Service]:
    folder, port = tmp_path_factory.mktemp("metrics"), free_port()
    (folder / "policy.toml").write_text(POLICY.format(url=fake.base_url))
    with Service(folder, workers=4, POLICY_FILE="policy.toml", METRICS_PORT=str(port), NODE_NAME="node-7") as running:
        yield running


@pytest.fixture(scope="module")
def asked(watched: Service) -> str:
    """The token of a client that has asked QUESTIONS questions."""
    token = watched.token("alice", watched.add_client())
    for _ in range(QUESTIONS):
        assert watched.ask(token).status_code == 200
    return token


@pytest.fixture(scope="module")
def prometheus(watched: Service, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Prometheus]:
    with scraping(address(watched), tmp_path_factory.mktemp("prometheus")) as running:
        yield running


def stream_one(service: Service, token: str) -> None:
    body = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "hi"}], "stream": True}
    HTTP.post(f"{service.url}/v1/chat/completions", json=body, headers={"Authorization": f"Bearer {token}"})


def address(service: Service) -> str:
    return f"127.0.0.1:{service.env['METRICS_PORT']}"


def scrape(service: Service) -> dict[str, float]:
    """The value of each series, as its line names it."""
    lines = HTTP.get(f"http://{address(service)}/metrics").text.splitlines()
    return {name: float(value) for name, _, value in (line.rpartition(" ") for line in lines if not line.startswith("#"))}


def total(service: Service, name: str) -> float:
    return sum(value for series, value in scrape(service).items() if series.partition("{")[0] == f"secure_ai_{name}")


def await_total(service: Service, name: str, wanted: float) -> None:
    eventually(lambda: total(service, name) == wanted, f"{name} is not {wanted}")


def test_one_port_shows_what_all_workers_counted(watched: Service, asked: str) -> None:
    assert total(watched, "questions_total") == total(watched, "questions_received_total") == QUESTIONS
    assert total(watched, "upstream_tries_total") == total(watched, "audit_append_seconds_count") / 2 - 0.5 == QUESTIONS
    assert total(watched, "open_questions") == 0
    assert total(watched, "workers") == 4
    assert any(name.startswith('secure_ai_build_info{node="node-7"') for name in scrape(watched))
    found = scrape(watched)
    input_tokens = found['secure_ai_tokens_total{kind="input",model="gpt-4o-mini"}']
    output_tokens = found['secure_ai_tokens_total{kind="output",model="gpt-4o-mini"}']
    money = found['secure_ai_spent_currency_units_total{currency="USD",model="gpt-4o-mini"}']
    assert money == pytest.approx((input_tokens + 2 * output_tokens) / 1000)


def test_refusals_are_counted_by_code(watched: Service, asked: str) -> None:
    before = scrape(watched).get('secure_ai_refusals_total{code="not_found"}', 0)
    assert HTTP.get(f"{watched.url}/nothing").status_code == 404
    assert scrape(watched)['secure_ai_refusals_total{code="not_found"}'] == before + 1


def test_nothing_that_is_shown_names_a_caller_or_what_they_said(watched: Service, asked: str) -> None:
    watched.ask(asked, "a very private question")
    text = HTTP.get(f"http://{address(watched)}/metrics").text
    assert not re.search("alice|private|capital", text)
    assert 'budget="all/day/tokens"' in text


def test_prometheus_scrapes_it_and_its_linter_finds_nothing(
    watched: Service, asked: str, prometheus: Prometheus, tmp_path: Path
) -> None:
    text = HTTP.get(f"http://{address(watched)}/metrics").text
    done = promtool("check", "metrics", folder=tmp_path, text=text)
    assert (done.returncode, done.stdout + done.stderr) == (0, "")
    prometheus.await_value("up", 1.0)
    before = prometheus.value("sum(secure_ai_questions_total)")
    assert watched.ask(asked).status_code == 200
    assert before is not None
    prometheus.await_value("sum(secure_ai_questions_total)", before + 1)
    prometheus.await_value("secure_ai_log_sound", 1.0)
    prometheus.await_value("count(secure_ai_process_resident_memory_bytes)", 8.0)  # 4 workers, parent, notary, index, metrics
    (target,) = prometheus.get("targets")["activeTargets"]
    assert target["lastError"] == ""


def test_prometheus_answers_every_panel_of_the_dashboard_with_data(watched: Service, asked: str, prometheus: Prometheus) -> None:
    panels = json.loads((ROOT / "deploy/grafana/dashboard.json").read_text())["panels"]
    queries = [target["expr"] for panel in panels for target in panel.get("targets", [])]
    assert len(queries) > 25
    told = {query: query.replace("$instance", ".*").replace("$__rate_interval", "20s") for query in queries}

    def silent() -> set[str]:
        stream_one(watched, asked)
        HTTP.get(f"{watched.url}/nothing")
        return {query for query, asked_so in told.items() if not prometheus.get("query", query=asked_so)["result"]}

    pending = {query for query in queries if "verified_age" in query}  # the first pass over the log takes its time
    eventually(lambda: silent() <= pending, "some panels show nothing")


def test_what_strangers_name_makes_no_series(watched: Service, asked: str) -> None:
    def call(number: int) -> None:
        HTTP.get(f"{watched.url}/path-{number}")
        HTTP.post(f"{watched.url}/token", data={"grant_type": "client_credentials", "client_id": f"stranger-{number}"})
        HTTP.post(f"{watched.url}/ask", json={"query": f"q{number}"}, headers={"Authorization": f"Bearer saa_{number}"})
        HTTP.post(
            f"{watched.url}/v1/chat/completions",
            json={"model": f"model-{number}", "messages": [{"role": "user", "content": "q"}]},
            headers={"Authorization": f"Bearer {asked}"},
        )

    for number in range(8):  # each worker refuses one of each, as far as chance allows
        call(number)
    known = set(scrape(watched))
    for number in range(8, STRANGERS):
        call(number)
    assert {series for series in set(scrape(watched)) - known if re.search(r"-\d+|q\d", series)} == set()
    assert len(scrape(watched)) <= len(known) + 2, "a code that none of the first met, at most"


def test_a_killed_worker_loses_no_count_and_leaves_its_question_open(watched: Service, asked: str, fake: FakeOpenAI) -> None:
    received, ended = total(watched, "questions_received_total"), total(watched, "questions_total")
    series = set(scrape(watched))
    fake.set(mode="hang")
    asking = threading.Thread(target=_ask_in_vain, args=(watched, asked))
    asking.start()
    await_total(watched, "open_questions", 1)
    for pid in watched.worker_pids():
        os.kill(pid, signal.SIGKILL)
    asking.join()
    fake.reset()
    watched.wait_ready()
    assert total(watched, "questions_received_total") == received + 1
    assert total(watched, "questions_total") == ended
    assert total(watched, "open_questions") == 1
    assert set(scrape(watched)) == series, "those that came after show no rows of their own"


def _ask_in_vain(service: Service, token: str) -> None:
    with suppress(httpx.HTTPError):
        service.ask(token)


def test_the_metrics_process_is_started_again(watched: Service) -> None:
    before = total(watched, "questions_total")
    pid = next(pid for pid in watched._children() if name_of(pid) == "metrics")
    os.kill(pid, signal.SIGKILL)
    await_total(watched, "questions_total", before)


def test_a_client_of_openais_sees_no_difference(watched: Service, asked: str) -> None:
    with client_of(watched, asked) as client:
        before = total(watched, "time_to_first_byte_seconds_count")
        stream = client.chat.completions.create(model="gpt-4o-mini", messages=[{"role": "user", "content": "hi"}], stream=True)
        assert "".join(chunk.choices[0].delta.content or "" for chunk in stream if chunk.choices)
    await_total(watched, "time_to_first_byte_seconds_count", before + 1)


def test_a_port_that_is_taken_stops_the_start_with_a_sentence(watched: Service, tmp_path: Path, fake: FakeOpenAI) -> None:
    other = Service(tmp_path, OPENAI_BASE_URL=fake.base_url, METRICS_PORT=watched.env["METRICS_PORT"])
    done = other.run("serve", "--port", "0", status=2)
    remove_windows(other.log)
    assert f"Cannot listen on 127.0.0.1 port {watched.env['METRICS_PORT']}" in done.stderr
    assert "Choose another with METRICS_PORT." in done.stderr
