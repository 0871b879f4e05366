"""Two greedy principals at two servers, and how soon others are answered or refused beside them."""

from __future__ import annotations

import json
import socket
import time
from collections import Counter
from contextlib import ExitStack, closing
from itertools import product
from pathlib import Path
from typing import Any

from app.upstream.fair_slots import MAX_WAITING
from app.upstream.pool import CONNECTIONS

from ..support.fake_openai import FakeOpenAI
from ..support.service import Service
from .figures import Figures
from .floods import status_of

SERVERS = ("one", "two")
GREEDY = ("greedy", "hungry")
MODELS = """
[servers.{name}]
base_url = "{url}"
[models.{name}]
server = "{name}"
"""
STREAMS_EACH = CONNECTIONS // 2 + MAX_WAITING + 40
"""More than one worker gives to one principal that is alone."""
PROBES = 20


def share(folder: Path, *, workers: int, streams: int = STREAMS_EACH) -> Figures:
    """Each of two principals opens *streams* streams that do not end at each of two servers."""
    begun, told, refused = time.monotonic(), list[str](), list[float]()
    is_full = workers == 1 and streams >= STREAMS_EACH  # else it is not known which worker refuses
    with ExitStack() as stack:
        fakes = {name: stack.enter_context(FakeOpenAI()) for name in SERVERS}
        service = stack.enter_context(_service(folder, workers, fakes))
        tokens = {name: service.token(name, service.add_client(name)) for name in ("modest", *GREEDY)}
        quiet = max(_longest(service, tokens["modest"], name, 200) for name in SERVERS)
        for fake in fakes.values():
            fake.set("stall:1")
        for who, name in product(GREEDY, SERVERS):
            request = _request(name, tokens[who], stream=True)
            opened = [_send(stack, service, request) for _ in range(streams)]
            _wait_until_settled(fakes[name])
            if is_full:
                _longest(service, tokens[who], name, 503)  # behind the records of those refused before it
                refused.append(_longest(service, tokens[who], name, 503))
            found = Counter(map(status_of, opened))
            told.append(f"{who} at {name}: {found[200]} begun, {found[0]} wait, {found[503]} x 503")
        for fake in fakes.values():
            fake.set("ok")
        other = max(_longest(service, tokens["modest"], name, 200) for name in SERVERS)
    told.append(f"another is answered within {other:.0f} ms ({quiet:.0f} before)")
    if refused:
        told.append(f"the greedy are refused within {max(refused):.0f} ms (wanted 50)")
    return Figures(4 * streams, 0, time.monotonic() - begun, remarks=told)


def _service(folder: Path, workers: int, fakes: dict[str, FakeOpenAI]) -> Service:
    folder.parent.mkdir(exist_ok=True)
    models = folder.parent / "models.toml"
    models.write_text("".join(MODELS.format(name=name, url=fake.base_url) for name, fake in fakes.items()))
    env: Any = {"MODELS_FILE": str(models), "LLM_MODEL": SERVERS[0], "TRUSTED_PROXIES": "127.0.0.1", "RATE_LIMIT": "100000"}
    return Service(folder, workers=workers, **env)


def _request(model: str, token: str, *, stream: bool) -> bytes:
    body = json.dumps({"model": model, "messages": [{"role": "user", "content": "hi"}], "stream": stream}).encode()
    head = f"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\nContent-Type: application/json\r\n"
    return f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body


def _send(stack: ExitStack, service: Service, request: bytes) -> socket.socket:
    caller = stack.enter_context(closing(socket.create_connection(("127.0.0.1", service.port), timeout=30)))
    caller.sendall(request)
    return caller


def _wait_until_settled(fake: FakeOpenAI) -> None:
    """Until no stream has begun for three seconds."""
    counts = [-1]
    while counts[-3:] != 3 * counts[-1:]:
        time.sleep(1)
        counts.append(fake.calls("open"))


def _longest(service: Service, token: str, model: str, status: int) -> float:
    """The longest of some waits for an answer of *status*, in milliseconds."""
    waits = []
    for _ in range(PROBES):
        began = time.perf_counter()
        with closing(socket.create_connection(("127.0.0.1", service.port), timeout=40)) as caller:
            caller.sendall(_request(model, token, stream=False))
            found = caller.recv(4096)[9:12]
        assert found == b"%d" % status, f"{model}: {found!r}"
        waits.append(1000 * (time.perf_counter() - began))
    return max(waits)
