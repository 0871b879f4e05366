"""A client database in a file, used in this process or in another."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import tempfile
from functools import cache
from pathlib import Path

from app.security.clients.migrations import create_or_upgrade_database
from app.security.clients.store import open_clients
from app.security.models import Revocations

from .paths import ROOT


@cache
def _empty() -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "clients.sqlite3"
        create_or_upgrade_database(path)
        return path.read_bytes()


def make_database(path: Path) -> Path:
    """An empty database, as `create_or_upgrade_database` makes it; the migrations run once in a process of the suite."""
    path.write_bytes(_empty())
    path.chmod(0o600)
    return path


def use(path: Path, *, timeout: float = 5.0) -> Revocations:
    """Add a client and read the revocations, as commands do."""

    async def add_and_read() -> Revocations:
        store = open_clients(path, timeout=timeout)
        try:
            await store.add("alice", ["ai.playground.user"])
            return await store.current_revocations()
        finally:
            await store.aclose()

    return asyncio.run(add_and_read())


def python(code: str, *arguments: str, cwd: Path = ROOT) -> subprocess.Popen[str]:
    """Another process that runs *code*, with its output as pipes."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", code, *arguments]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=cwd, env=environment)
