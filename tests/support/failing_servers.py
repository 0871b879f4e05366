"""A service whose models' servers fail in each way of the fault catalogue."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from cryptography import x509

from .calls import bearer
from .certificates import Authority
from .fault_catalogue import TIMEOUT_SECONDS
from .raw_server import RawServer, chat, whole
from .service import HTTP, Service, free_port

MODEL = '[servers.{name}]\nbase_url = "{url}"\n[models.{name}]\nserver = "{name}"\n'


@contextmanager
def failing_servers(folder: Path, raw: RawServer) -> Iterator[Service]:
    """Each model is named like its server. One retry is allowed."""
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


def answer_once(service: Service, token: str, raw: RawServer) -> None:
    """So that the next failure is the first: a server that fails others, too, is asked once only."""
    raw.answer = lambda _: [whole(chat())]
    body = {"model": "raw", "messages": [{"role": "user", "content": "hi"}]}
    assert HTTP.post(service.url + "/v1/chat/completions", json=body, headers=bearer(token)).status_code == 200


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
