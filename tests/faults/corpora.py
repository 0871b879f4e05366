"""Other people's odd JSON and odd strings, at every place of a request that takes some."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.parse import quote, quote_plus

from ..support.fake_openai import FakeOpenAI
from ..support.paths import CORPORA
from ..support.service import Service
from .counts import Counts
from .figures import Figures
from .spoken import speak
from .valid import BODIES, FORMS, GETS, Credentials, request

PARALLEL = 16
TEXT_MEMBERS = {"/ask": "query", "/v1/responses": "input", "/v1/embeddings": "input", "/v1/completions": "prompt"}
"""Where a text is asked; in `messages` elsewhere."""


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
    for path, members in BODIES.items():
        for document in documents:
            yield request("POST", path, credentials.value(path), document)
        for text in texts:
            yield request("POST", path, credentials.value(path), json.dumps(asked(path, members, text)).encode())
            yield request("POST", path, credentials.value(path), json.dumps({**members, text: text}).encode())
    for path, form in FORMS.items():
        for document in documents:
            yield request("POST", path, credentials.value(path), document, "application/x-www-form-urlencoded")
        for text in texts:
            fields = f"{form}&scope={quote_plus(text)}&{quote_plus(text)}=1".encode()
            yield request("POST", path, credentials.value(path), fields, "application/x-www-form-urlencoded")
    for path in (*GETS, *BODIES, *FORMS):
        method = "GET" if path in GETS else "POST"
        place = path.partition("?")[0]
        for text in texts:
            query = f"{place}?{quote(text)}={quote(text)}"
            yield request(method, query, credentials.value(path), None if method == "GET" else b"{}")
            yield request(method, f"{place}/{quote(text, safe='')}", credentials.value(path))
    for text in texts:
        if not set(text.encode()) & {0, 10, 13}:
            yield request("GET", "/v1/models", text)
            yield request("GET", f"/v1/models HTTP/1.1\r\nAccept: {text}\r\nX-Request-Id: {text}\r\nX: x", credentials.asker)


def asked(path: str, members: dict[str, Any], text: str) -> dict[str, Any]:
    if path in TEXT_MEMBERS:
        return {**members, TEXT_MEMBERS[path]: text}
    return {**members, "messages": [{"role": "user", "content": text}]}
