"""A client database that is locked, full, gone, damaged, read-only or used by many: our error, and recovery by itself."""

import asyncio
import os
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import pytest

from app.errors import Unavailable
from app.security.clients.store import open_clients

from ..support.client_database import make_database, python, use
from ..support.optional import leave_out
from ..support.paths import ROOT


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return make_database(tmp_path / "clients.sqlite3")


def test_a_locked_database_is_unavailable_after_the_timeout(path: Path) -> None:
    holder = sqlite3.connect(path, isolation_level=None)
    holder.execute("BEGIN IMMEDIATE")
    started = time.monotonic()
    with pytest.raises(Unavailable) as caught:
        use(path, timeout=0.2)
    assert 0.2 <= time.monotonic() - started < 4.5, "of itself it is five seconds"
    assert caught.value.retry_after
    assert "sqlite" not in str(caught.value).lower()
    holder.close()
    assert use(path).generation == 1


FULL = """
import asyncio, resource, sys
from pathlib import Path
from app.errors import ConfigError, Unavailable
from app.security.clients.store import open_clients

async def main(path):
    store = open_clients(Path(path))
    await store.add("alice", ["ai.playground.user"])
    size = max(file.stat().st_size for file in Path(path).parent.iterdir())
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))
    try:
        for number in range(1000):
            await store.add(f"client-{number}", ["ai.playground.user"])
    except Unavailable as error:
        print(type(error).__name__, number == await store.generation() - 1 == len(await store.list_all()) - 1)
    resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    await store.add("bobby", ["ai.playground.user"])
    await store.aclose()

asyncio.run(main(sys.argv[1]))
"""


def test_a_file_that_cannot_grow_loses_nothing_and_comes_back(path: Path) -> None:
    out, problems = python(FULL, str(path)).communicate(timeout=60)
    assert out.strip() == "Unavailable True", problems


def test_a_damaged_or_missing_database_is_unavailable_and_not_replaced(path: Path) -> None:
    async def road() -> None:
        store = open_clients(path)
        path.unlink()
        with pytest.raises(Unavailable):
            await store.generation()
        assert not path.exists()
        path.write_bytes(b"\xff" * 8192)
        with pytest.raises(Unavailable):
            await store.authenticate("alice", "secret")
        await store.aclose()

    asyncio.run(road())


def test_a_read_only_database_is_unavailable_to_a_writer(path: Path) -> None:
    code = (
        "import asyncio, pathlib, sys; from app.errors import Unavailable; from app.security.clients.store import open_clients\n"
        "async def main():\n"
        "    try: await open_clients(pathlib.Path(sys.argv[1])).add('alice', ['ai.playground.user'])\n"
        "    except Unavailable: print('unavailable')\n"
        "asyncio.run(main())\n"
    )
    if os.geteuid() == 0:  # file modes do not stop root; a read-only mount does
        mount = 'mount --bind -o ro "$1" "$1" && shift && exec "$@"'
        command = ["unshare", "-m", "sh", "-c", mount, "sh", str(path.parent), sys.executable, "-c", code, str(path)]
        done = subprocess.run(command, check=False, capture_output=True, text=True, cwd=ROOT, timeout=60)
        if not done.stdout and ("unshare:" in done.stderr or "mount:" in done.stderr):
            leave_out(f"root may not mount here, so a read-only database is not tried: {done.stderr.strip()}")
        assert done.stdout.strip() == "unavailable", done.stderr
        return
    path.chmod(0o400)
    path.parent.chmod(0o500)
    try:
        out, problems = python(code, str(path)).communicate(timeout=60)
    finally:
        path.parent.chmod(0o700)
    assert out.strip() == "unavailable", problems


# --- many processes at once ---

WRITER = """
import asyncio, sys
from pathlib import Path
from app.errors import InvalidRequest
from app.security.clients.store import open_clients

async def main(path, number):
    store = open_clients(Path(path), timeout=30)
    won = 0
    for turn in range(20):
        await store.revoke(f"{number * 100 + turn:032x}", 2**40)
        try:
            await store.add(f"client-{turn}", ["ai.playground.user"])
            won += 1
        except InvalidRequest:
            pass
        await store.rotate("client-0")  # it reads before it writes
    await store.aclose()
    print(won)

asyncio.run(main(sys.argv[1], int(sys.argv[2])))
"""


def test_processes_that_write_at_once_lose_nothing_and_add_each_name_once(path: Path) -> None:
    writers = [python(WRITER, str(path), str(number)) for number in range(3)]
    outcomes = [writer.communicate(timeout=60) for writer in writers]
    assert sum(int(out) for out, _ in outcomes) == 20, outcomes
    denied = use(path)
    assert len(denied.revoked) == 60
    assert denied.generation == 141


def test_processes_that_start_at_once_in_any_folder_make_it_once(tmp_path: Path) -> None:
    code = (
        "from pathlib import Path; from app.security.clients.migrations import create_or_upgrade_database as make;"
        "print(make(Path('logs/clients.sqlite3')))"
    )
    outcomes = [maker.communicate(timeout=60) for maker in [python(code, cwd=tmp_path) for _ in range(4)]]
    assert sorted(out.strip() for out, _ in outcomes) == ["False", "False", "False", "True"], outcomes
    assert use(tmp_path / "logs" / "clients.sqlite3").generation == 1
