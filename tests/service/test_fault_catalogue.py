"""The fault catalogue: what a caller, the record and the server see of each way in which a server fails."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from ..faults.footprint import Footprint
from ..support.calls import bearer, records_of
from ..support.failing_servers import answer_once, failing_servers
from ..support.fault_catalogue import FAULTS, Fault
from ..support.raw_server import RawServer, chat, whole
from ..support.service import HTTP, Service

MAX_GROWTH_MB = 32
LARGE = {"a body of 1 GB", "a gzip bomb of 1 GB"}


@pytest.fixture(scope="module")
def raw() -> Iterator[RawServer]:
    with RawServer(lambda _: [whole(chat())]) as server:
        yield server


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory, raw: RawServer) -> Iterator[Service]:
    with failing_servers(tmp_path_factory.mktemp("service"), raw) as service:
        yield service


@pytest.mark.parametrize("fault", FAULTS, ids=[one.name for one in FAULTS])
def test_a_fault_of_the_server_comes_to_what_the_table_says(service: Service, token: str, raw: RawServer, fault: Fault) -> None:
    body = {"model": fault.server, "messages": [{"role": "user", "content": "hi"}]}
    if fault.calls > 1:
        answer_once(service, token, raw)
    raw.answer = lambda _: fault.answer
    asked, before = len(raw.requests), Footprint.largest(service.worker_pids())
    response = HTTP.post(service.url + "/v1/chat/completions", json=body, headers=bearer(token))
    assert response.status_code == fault.status, response.text
    assert response.headers.get("retry-after") == fault.retry_after
    assert len(raw.requests) - asked == fault.calls
    received, *_, ended = records_of(service, response)
    assert received["action"] == "ask.received"
    details = ended["details"]
    if fault.status == 200:
        assert (ended["action"], details["finish_reason"], "tries" in details) == ("ask.answered", fault.code, False)
        return
    assert (ended["action"], details["code"]) == ("ask.failed", fault.code)
    assert (details["tries"][-1]["why"], details["tries"][-1]["server"]) == (fault.why, fault.server)
    if fault.name in LARGE:
        assert Footprint.largest(service.worker_pids()).grown_since(before) < MAX_GROWTH_MB


def test_a_server_with_a_good_certificate_is_asked(service: Service, token: str) -> None:
    body = {"model": "trusted", "messages": [{"role": "user", "content": "hi"}]}
    assert HTTP.post(service.url + "/v1/chat/completions", json=body, headers=bearer(token)).status_code == 200
