"""Several nodes of one service on this machine: the same keys, clients and limits, each with its own port."""

from __future__ import annotations

import secrets
import shutil
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from .service import Service

CLIENTS = "logs/clients.sqlite3"


@contextmanager
def nodes(folder: Path, count: int, *, client: str = "alice", **env: str) -> Iterator[tuple[list[Service], str]]:
    """*count* running nodes, each with a log of its own, and a token that is good on all of them."""
    shared: dict[str, Any] = {"AUDIT_ORIGIN": "tests/nodes", "SECRET_KEY": secrets.token_urlsafe(32), **env}
    made = [Service(folder / f"node{number}", **shared) for number in range(count)]
    secret = made[0].add_client(client)
    for other in made[1:]:
        shutil.copyfile(made[0].folder / CLIENTS, other.folder / CLIENTS)
    with ExitStack() as opened:
        for node in made:
            node.start(wait=False)
        for node in made:
            node.wait_ready()
            opened.enter_context(node)
        yield made, made[0].token(client, secret)
