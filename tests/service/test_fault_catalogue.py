"""The fault catalogue: what a caller, the record and the server see of each way in which a server fails."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509

from ..faults.footprint import Footprint
from ..support.calls import bearer, records_of
from ..support.certificates import Authority
from ..support.fault_catalogue import FAULTS, TIMEOUT_SECONDS, Fault
from ..support.raw_server import RawServer, chat, whole
from ..support.service import HTTP, Service, free_port

MODEL = '[servers.{name}]\nbase_url = "{url}"\n[models.{name}]\nserver = "{name}"\n'
MAX_GROWTH_MB = 32
LARGE = {"a body of 1 GB", "a gzip bomb of 1 GB"}


@pytest.fixture(scope="module")
def raw() -> Iterator[RawServer]:
    with RawServer(lambda _: [whole(chat())]) as server:
        yield server


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory, raw: RawServer) -> Iterator[Service]:
    folder = tmp_path_factory.mktemp("service")
    with ExitStack() as opened:
        urls = {"raw": raw.base_url, **others(folder, opened)}
        tables = [MODEL.format(name=name, url=url) for name, url in urls.items()]
        folder.joinpath("policy.toml").write_text("".join([*tables, "[retries]\nmost = 1\nshare = 1.0\n"]))
        settings: dict[str, Any] = {
            "POLICY_FILE": "policy.toml",
            "LLM_MODEL": "raw",
            "SSL_CERT_FILE": str(folder / "authority.pem"),
        }
        yield opened.enter_context(Service(folder, LLM_TIMEOUT_SECONDS=str(TIMEOUT_SECONDS), **settings))


def others(folder: Path, opened: ExitStack) -> dict[str, str]:
    """The addresses of the servers that are never asked, and of one with a good certificate."""
    full = opened.enter_context(socket.create_server(("127.0.0.1", 0), backlog=0))
    for _ in range(4):  # nobody accepts them: later ones wait in vain
        waiting = opened.enter_context(socket.socket())
        waiting.setblocking(False)
        waiting.connect_ex(full.getsockname())
    authority = Authority.in_folder(folder)
    contexts = {
        "trusted": authority.server(),
        "expired": authority.server(ended=True),
        "misnamed": authority.server(x509.DNSName("other.example")),
    }
    urls = {name: opened.enter_context(RawServer(lambda _: [whole(chat())], tls)).base_url for name, tls in contexts.items()}
    closed = f"http://127.0.0.1:{free_port()}/v1"
    return {**urls, "closed": closed, "dns": "http://nowhere.invalid/v1", "full": f"http://127.0.0.1:{full.getsockname()[1]}/v1"}


@pytest.mark.parametrize("fault", FAULTS, ids=[one.name for one in FAULTS])
def test_a_fault_of_the_server_comes_to_what_the_table_says(service: Service, token: str, raw: RawServer, fault: Fault) -> None:
    body = {"model": fault.server, "messages": [{"role": "user", "content": "hi"}]}
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
