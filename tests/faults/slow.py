"""slowhttptest, another's tool, in each of its modes: the service stays available by the tool's own probe, and health by ours."""

from __future__ import annotations

import re
import shutil
import subprocess
import time
from pathlib import Path

from ..support.fake_openai import FakeOpenAI
from ..support.service import Service
from .figures import Figures
from .honest import honest_caller
from .hostile import raise_client_limit

MODES = {
    "slow heads": ("-H", "-i", "2", "-x", "24", "-u", "/livez"),
    "slow bodies": ("-B", "-i", "2", "-s", "8192", "-x", "10", "-u", "/token"),
    "ranges": ("-R", "-a", "5", "-b", "3000", "-u", "/docs/assets/swagger-ui-bundle.js"),
    "slow reading": ("-X", "-w", "10", "-y", "20", "-n", "5", "-z", "32", "-k", "3", "-u", "/docs/assets/swagger-ui-bundle.js"),
}
TOOL = "slowhttptest"
MISSING = f"there is no {TOOL} (Debian: apt-get install {TOOL})"
ESCAPES = re.compile(r"\x1b\[[0-9;]*m")
PROBE_SECONDS = 5


def found() -> str | None:
    return shutil.which(TOOL)


def slow_down(folder: Path, *, mode: str, connections: int, seconds: int, workers: int) -> Figures:
    raise_client_limit()
    with FakeOpenAI() as fake, Service(folder, workers=workers, OPENAI_BASE_URL=fake.base_url) as service:
        token = service.token("alice", service.add_client())
        figures = slow_down_at(service, token, mode, connections, seconds, quiet_seconds=3.0)
        assert service.stop() == 0
        assert service.verify()["ok"]
    return figures


def slow_down_at(service: Service, token: str, mode: str, connections: int, seconds: int, quiet_seconds: float) -> Figures:
    """Raises AssertionError if the tool finds the service not available, or is not there."""
    begun, tool = time.monotonic(), found()
    assert tool is not None, MISSING
    *options, path = MODES[mode]
    how = ["-c", str(connections), "-r", str(max(50, connections // 4)), "-l", str(seconds), "-p", str(PROBE_SECONDS)]
    with honest_caller(service.port, token, "/ask") as quiet:
        time.sleep(quiet_seconds)
    with honest_caller(service.port, token, "/ask") as waits:
        said = subprocess.run([tool, *how, *options, service.url + path], capture_output=True, text=True, timeout=seconds + 120)
    tells = ESCAPES.sub("", said.stdout)
    available = re.findall(r"service available:\s+(\w+)", tells)
    assert available, tells[-2000:] + said.stderr
    assert "NO" not in available, f"{TOOL}: not available in {available.count('NO')} of {len(available)} looks"
    assert service.ask(token).status_code == 200
    most = max(map(int, re.findall(r"connected:\s+(\d+)", tells)), default=0)
    told = f"{TOOL}: available in {len(available)} of {len(available)} looks, {most:,} connected at most"
    remarks = [told, *re.findall(r"Exit status: (.*)", tells)[-1:], *waits.told(quiet)]
    return Figures(len(waits.asked), len(service.records()), time.monotonic() - begun, remarks=remarks)
