"""Every probe at a live service and at its proxy: the answers are the expected ones, and nothing within a body is a request."""

from __future__ import annotations

import ssl
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from ..support.fake_openai import FakeOpenAI
from ..support.nginx import in_front_of, untrusting
from ..support.service import Service
from .figures import Figures
from .probes import PROBES, WITHIN, Probe
from .spoken import speak

PARALLEL = 32
SECONDS = 15
"""More than a proxy waits for the rest of a request."""
SMUGGLED = WITHIN.split()[1].decode()


def smuggle(folder: Path, *, workers: int) -> Figures:
    begun = time.monotonic()
    env: dict[str, Any] = {"ADDRESS_RATE_LIMIT": "10000000"}
    with FakeOpenAI() as fake, Service(folder, workers=workers, OPENAI_BASE_URL=fake.base_url, **env) as service:
        wrong = verdicts(service, service.port, None)
        with in_front_of(service.port, folder) as url:
            wrong += verdicts(service, urlsplit(url).port or 0, untrusting())
        assert not wrong, "\n".join(wrong)
        assert service.verify()["ok"]
        records = len(service.records())
    return Figures(2 * len(PROBES), records, time.monotonic() - begun, remarks=["directly and behind nginx"])


def verdicts(service: Service, port: int, tls: ssl.SSLContext | None) -> list[str]:
    """What was not as expected, a line each. *tls*: to speak to the proxy."""

    def said(probe: Probe) -> str:
        answers = speak(port, probe.request, tls, SECONDS, ends=not (tls or probe.direct))
        for one in answers:
            if tls is None:
                one.verify()
        return " ".join(str(one.status) for one in answers if one.status >= 200)

    before = len(service.records())
    with ThreadPoolExecutor(PARALLEL) as threads:
        seen = dict(zip(PROBES, threads.map(said, PROBES), strict=True))
    where = "service" if tls is None else "nginx"
    expected = {probe: probe.direct if tls is None else probe.edge for probe in PROBES}
    wrong = [f"{where}: {one.name}: {got!r}, not {expected[one]!r}" for one, got in seen.items() if got != expected[one]]
    requests = sum(record["details"].get("path") == SMUGGLED for record in service.records()[before:])
    allowed = sum(probe.smuggles for probe in PROBES)
    return [*wrong, *([f"{where}: {requests} requests smuggled, not {allowed}"] if requests != allowed else [])]
