"""The service without `serve`: plain uvicorn, whose processes each sign and watch in a thread."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

import httpx

from .paths import ROOT
from .service import HTTP, READY_SECONDS, Service


@contextmanager
def plain_uvicorn(service: Service, processes: int, factory: str = "app.main:create_app") -> Iterator[None]:
    """Serve the folder of *service*, which was not started, on its port."""
    program = [sys.executable, "-m", "uvicorn", "--factory", factory, "--port", str(service.port)]
    with (service.folder / "serve.log").open("ab") as output:
        process = subprocess.Popen(
            [*program, "--workers", str(processes), "--no-access-log"],
            cwd=service.folder,
            env={**service.env, "PYTHONPATH": str(ROOT)},
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    try:
        _wait_ready(service, process)
        yield
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(30)
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)


def _wait_ready(service: Service, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + READY_SECONDS
    while time.monotonic() < deadline:
        assert process.poll() is None, service.output()
        try:
            if HTTP.get(service.url + "/readyz", timeout=2).status_code == 200:
                return
        except httpx.HTTPError:
            time.sleep(0.05)
    raise AssertionError(f"not ready:\n{service.output()}")
