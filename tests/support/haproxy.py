"""The load balancer of deploy/haproxy.cfg, before nodes of this machine."""

from __future__ import annotations

import re
import shutil
import signal
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import httpx

from .optional import leave_out
from .paths import ROOT
from .service import HTTP, Service, free_port
from .waiting import eventually

CONFIGURATION = ROOT / "deploy" / "haproxy.cfg"


@contextmanager
def balanced(folder: Path, several: Sequence[Service]) -> Iterator[int]:
    """The port at which it answers, once it knows that a node is ready. All but addresses is as in the file."""
    program = shutil.which("haproxy")
    if program is None:
        leave_out("there is no haproxy (Debian: apt-get install haproxy)")
    port, text = free_port(), CONFIGURATION.read_text()
    text, found = re.subn(r"^    server .*\n", "", text, flags=re.MULTILINE)
    assert found == 4
    text = text.replace("bind :8080", f"bind 127.0.0.1:{port}").replace(
        "log stdout format raw local0 notice", "log stderr local0"
    )
    for number, node in enumerate(several):
        at = f"{node.host}:{node.port}"
        text += f"    server node-{number} {at} check\n    server node-{number}-unready {at} backup\n"
    file = folder / "haproxy.cfg"
    file.write_text(text)
    with (folder / "haproxy.log").open("ab") as log:
        process = subprocess.Popen([program, "-db", "-f", str(file)], stdout=log, stderr=log)
    try:
        eventually(lambda: _is_ready(port))
        yield port
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(30)


def _is_ready(port: int) -> bool:
    try:
        return HTTP.get(f"http://127.0.0.1:{port}/readyz").status_code == 200
    except httpx.HTTPError:
        return False
