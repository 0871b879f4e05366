"""One of two nodes, each in a network namespace of its own, loses the way to PostgreSQL and Valkey while all live on.

Every packet of one direction, or of both, goes to an address of the link layer that nobody has.
"""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import asdict
from functools import partial
from pathlib import Path

from ...cluster_demo.namespaces import SHARED, places, unshared
from ...support.fake_openai import FakeOpenAI
from ...support.nodes import Place, databases, make_nodes, running
from ...support.paths import ROOT
from ...support.postgres_server import PostgresServer
from ...support.valkey_server import ValkeyServer
from ..figures import Figures
from .limits import PATIENT
from .one_log import one_of_two

DIRECTIONS = ("both ways", "to the servers", "from the servers")
MODEL = "10.77.0.2"
HERE, THERE = "10.77.200.1", "10.77.200.2"
"""The two ends of the cable that is cut. Callers and the model's server use another one."""
NOBODY = "02:00:00:00:00:01"


def partition(folder: Path, *, direction: str, seconds: float, clients: int = 16) -> Figures:
    """In namespaces that end with it."""
    before, why = unshared()
    assert before, f"network namespaces are not permitted here: {why}"
    words = [sys.executable, "-m", __name__, str(folder), direction, str(seconds), str(clients)]
    done = subprocess.run([*before, *words], cwd=ROOT, stdout=subprocess.PIPE, text=True, timeout=300 + 3 * seconds)
    assert done.returncode == 0, f"exit status {done.returncode}; see above"
    return Figures(**json.loads(done.stdout.splitlines()[-1]))


class Cable:
    """From the servers to one node."""

    def __init__(self, node: Place) -> None:
        self._inside = node.prefix
        _, where, _ = node.prefix  # nsenter --net=/proc/PID/ns/net --
        holder = where.split("/")[2]
        _ip("link", "add", "servers", "type", "veth", "peer", "name", "cut", "netns", holder)
        _ip("address", "add", f"{HERE}/30", "dev", "servers")
        _ip("link", "set", "servers", "up")
        _ip("address", "add", f"{THERE}/30", "dev", "cut", inside=node.prefix)
        _ip("link", "set", "cut", "up", inside=node.prefix)
        _ip("route", "add", f"{SHARED}/32", "via", HERE, inside=node.prefix)

    def cut(self, direction: str) -> None:
        if direction != "from the servers":
            _ip("neighbour", "replace", HERE, "lladdr", NOBODY, "dev", "cut", "nud", "permanent", inside=self._inside)
        if direction != "to the servers":
            _ip("neighbour", "replace", THERE, "lladdr", NOBODY, "dev", "servers", "nud", "permanent")

    def mend(self, direction: str) -> None:
        if direction != "from the servers":
            _ip("neighbour", "delete", HERE, "dev", "cut", inside=self._inside)
        if direction != "to the servers":
            _ip("neighbour", "delete", THERE, "dev", "servers")


def _ip(*words: str, inside: Sequence[str] = ()) -> None:
    subprocess.run([*inside, "ip", *words], check=True)


def _inside(folder: Path, direction: str, seconds: float, clients: int) -> Figures:
    began = time.monotonic()
    with ExitStack() as opened:
        where = opened.enter_context(places(2))
        _ip("address", "add", f"{MODEL}/32", "dev", "lo")
        cable = Cable(where[1])
        fake = opened.enter_context(FakeOpenAI(host=MODEL))
        valkey = opened.enter_context(ValkeyServer(folder / "valkey", "--protected-mode", "no", host=SHARED))
        postgres = opened.enter_context(PostgresServer(listen_addresses="*"))
        with (postgres.data / "pg_hba.conf").open("a") as file:
            file.write("host all all 10.77.0.0/16 scram-sha-256\n")
        postgres.reload()
        env = {"OPENAI_BASE_URL": fake.base_url, "LIMITS_URL": valkey.url, **PATIENT, **databases(postgres, host=SHARED)}
        several = make_nodes(folder, where, **{**env, "LIMITS_TIMEOUT_SECONDS": "0.5"})
        secret = several[0].add_client()
        opened.enter_context(running(several))
        token = several[0].token("alice", secret)
        cut, mend = partial(cable.cut, direction), partial(cable.mend, direction)
        figures = asyncio.run(one_of_two(folder, several, token, clients, seconds, cut, mend, is_noticed=True))
    figures.seconds = time.monotonic() - began
    return figures


if __name__ == "__main__":
    given = sys.argv[1:]
    print(json.dumps(asdict(_inside(Path(given[0]), given[1], float(given[2]), int(given[3])))))
