"""A real Prometheus (Debian's package) that scrapes a service, and promtool."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import httpx

from .optional import leave_out
from .service import free_port
from .waiting import eventually

HOW = "install Prometheus (Debian: apt-get install prometheus)"


def program(name: str) -> str:
    """The path of `prometheus` or `promtool`; skips the test if there is none."""
    found = shutil.which(name)
    if found is None:
        leave_out(f"there is no {name}; {HOW}")
    return found


def promtool(*arguments: str, folder: Path, text: str | None = None) -> subprocess.CompletedProcess[str]:
    command = [program("promtool"), *arguments]
    return subprocess.run(command, cwd=folder, input=text, capture_output=True, text=True, timeout=60, check=False)


class Prometheus:
    def __init__(self, url: str) -> None:
        self.url = url

    def get(self, path: str, **query: str) -> Any:
        return httpx.get(f"{self.url}/api/v1/{path}", params=query, timeout=10).json()["data"]

    def value(self, query: str) -> float | None:
        """Of an instant query with one result; None: there is none yet."""
        found = self.get("query", query=query)["result"]
        return float(found[0]["value"][1]) if found else None

    def await_value(self, query: str, wanted: float) -> None:
        eventually(lambda: self.value(query) == wanted, f"{query} is not {wanted}")


@contextmanager
def scraping(target: str, folder: Path) -> Iterator[Prometheus]:
    """Prometheus, which scrapes `host:port` twice a second."""
    binary, port = program("prometheus"), free_port()
    config = {
        "global": {"scrape_interval": "500ms", "scrape_timeout": "500ms"},
        "scrape_configs": [{"job_name": "secure-ai-assistant", "static_configs": [{"targets": [target]}]}],
    }
    (folder / "prometheus.yaml").write_text(json.dumps(config))
    options = [f"--config.file={folder}/prometheus.yaml", f"--storage.tsdb.path={folder}/data"]
    command = [binary, *options, f"--web.listen-address=127.0.0.1:{port}"]
    with (folder / "prometheus.log").open("w") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log)
    try:
        running = Prometheus(f"http://127.0.0.1:{port}")
        _await_ready(running, process)
        yield running
    finally:
        process.terminate()
        process.wait(60)


def _await_ready(running: Prometheus, process: subprocess.Popen[bytes]) -> None:
    def is_ready() -> bool:
        assert process.poll() is None, "Prometheus has ended"
        with suppress(httpx.HTTPError):
            return httpx.get(f"{running.url}/-/ready", timeout=2).status_code == 200
        return False

    eventually(is_ready, "Prometheus is not ready")
