"""Other people's odd JSON and odd strings, at every place of a request that takes some."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.parse import quote, quote_plus, urlencode

from ..support.fake_openai import FakeOpenAI
from ..support.paths import CORPORA
from ..support.service import Service
from .counts import Counts
from .endpoints import FORM, JSON, Endpoint, every_endpoint
from .figures import Figures
from .spoken import speak
from .valid import Credentials, request

PARALLEL = 16
LONE = "\ud800"
"""Half of a character: JSON can spell it, UTF-8 cannot."""
ODD_VALUES = (
    *("-1", "0", "1e9", "9" * 15, "9" * 40, "9" * 5000, "%D9%A1%D9%A2", "+1", "1_000", "0x10", "true", "null", "x" * 5000),
    *("%00", "a%00b", "%FF%FE", "%F0%9F%92%A9" * 50, "%ED%A0%80", "%2525", "%", "%zz", "%0D%0A", "%E2%80%AE", "a%CC%81" * 90),
    *(
        "2026-02-30",
        "0001-01-01",
        "9999-12-31",
        "0001-01-01T00:00:00%2B23:59",
        "9999-12-31T23:59:59-23:59",
        "2026-W01-1",
        "24:00",
    ),
    *(
        "%22",
        "*",
        "a*",
        "a+OR+b",
        "a+AND",
        "NEAR(a+b)",
        "-a",
        "user:a",
        "^a",
        "(((((",
        "%22" * 99,
        "a+" * 99,
        "..%2F..%2Fetc",
        "';--",
    ),
)
"""Of query parameters: numbers, texts, times, and the language of the index."""


def send_all(folder: Path, *, workers: int, step: int = 1) -> Figures:
    """*step*: of so many requests one is sent."""
    begun = time.monotonic()
    env: dict[str, Any] = {"ADDRESS_RATE_LIMIT": "10000000", "OPENAI_API_KEY": "k"}
    with FakeOpenAI() as fake:
        service = Service(folder, workers=workers, OPENAI_BASE_URL=fake.base_url, **env).start()
        requests = list(odd_requests(Credentials.made_in(service)))[::step]
        before, counts = len(service.records()), Counts()
        with ThreadPoolExecutor(PARALLEL) as threads:
            for answers in threads.map(lambda one: speak(service.port, one), requests):
                counts.add(answers)
        assert service.stop() == 0
        records = service.records()[before:]
        counts.verify(records, 0)
        assert counts.silent == 0, "not every request was answered"
        assert service.verify()["ok"]
        assert "Traceback" not in service.output()
    return Figures(len(requests), len(records), time.monotonic() - begun, remarks=[counts.told_statuses(), counts.told()])


def odd_requests(credentials: Credentials) -> Iterator[bytes]:
    texts = json.loads((CORPORA / "strings/blns.json").read_text())
    documents = [path.read_bytes() for path in sorted((CORPORA / "json").glob("*.json"))]
    endpoints = [one for one in every_endpoint() if one.method != "HEAD"]
    for one in (one for one in endpoints if not one.is_file):
        value = credentials.value(one)
        yield from (request(one.method, one.path, value, body, one.kind) for body in _odd_bodies(one, texts, documents))
        for text in texts:
            body = b"{}" if one.kind == JSON else None
            yield request(one.method, f"{one.path}?{quote(text)}={quote(text)}", value, body)
            yield request(one.method, f"{one.path}/{quote(text, safe='')}", value)
            for name in one.parameters:
                yield request(one.method, f"{one.path}?{name}={quote(text)}", value)
    for one in (one for one in endpoints if one.parameters or one.path.startswith("/console/parts")):
        yield from (request(one.method, target, credentials.value(one)) for target in _odd_queries(one))
    for folder in {one.path.rpartition("/")[0] for one in endpoints if one.is_file}:
        yield from (request("GET", f"{folder}/{quote(text, safe='')}") for text in texts)
    for text in texts:
        if not set(text.encode()) & {0, 10, 13}:
            yield request("GET", "/v1/models", text)
            yield request("GET", f"/v1/models HTTP/1.1\r\nAccept: {text}\r\nX-Request-Id: {text}\r\nX: x", credentials.bearer)


def _odd_bodies(one: Endpoint, texts: list[str], documents: list[bytes]) -> Iterator[bytes]:
    if not one.kind:
        return
    yield from documents
    if one.kind == FORM:
        form = urlencode(one.members)
        yield from (f"{form}&scope={quote_plus(text)}&{quote_plus(text)}=1".encode() for text in texts)
        return
    for text in (*texts, LONE):
        yield from (json.dumps(members).encode() for members in (*_asked(one.members, text), {**one.members, text: text}))


def _asked(members: dict[str, Any], text: str) -> Iterator[dict[str, Any]]:
    """*members* with the text in each place that takes one."""
    for name, value in members.items():
        if name == "messages":
            yield {**members, name: [{"role": "user", "content": text}]}
        elif isinstance(value, str) and name != "model":
            yield {**members, name: text}
        elif isinstance(value, list) and value and (name == "input" or isinstance(value[0], str)):
            yield {**members, name: [text]}


def _odd_queries(one: Endpoint) -> Iterator[str]:
    names = one.parameters or {name: "x" for every in every_endpoint() for name in every.parameters}
    for name, good in names.items():
        yield from (f"{one.path}?{name}={value}" for value in ODD_VALUES)
        yield f"{one.path}?{name}={good}&{name}={good}"
        yield f"{one.path}?{name}"
        yield f"{one.path}?{name.upper()}={good}&{name}%00={good}"
    yield f"{one.path}?{'&'.join(f'x{number}=1' for number in range(1000))}"
