"""Several nodes of one service on this machine: each with its own folder, name and port, and all with one secret and log key."""

from __future__ import annotations

import secrets
import shutil
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from app.audit.storage.postgres.prepare import prepare

from .postgres_server import PASSWORD, PostgresServer
from .service import LOOPBACK, LaterService, Service

KEY, CLIENTS = "logs/audit_log.key", "logs/clients.sqlite3"


class Place(NamedTuple):
    """Where a node runs: its address, and what is put before its commands."""

    host: str = LOOPBACK
    prefix: Sequence[str] = ()


def databases(server: PostgresServer, *, host: str = LOOPBACK, single: bool = True) -> dict[str, str]:
    """The settings of a new ledger, and of a new database of clients, on *server* as the nodes see it at *host*."""
    role, ledger, clients = server.new_role(), server.new_database(), server.new_database()
    server.query(f'ALTER DATABASE "{clients}" OWNER TO "{role}"')
    with closing(server.connect(ledger)) as connection:
        prepare(connection, role)
    at = f"postgresql://{role}:{PASSWORD}@{host}:{server.port}"
    urls = {"AUDIT_URL": f"{at}/{ledger}?sslmode=disable", "DATABASE_URL": f"{at}/{clients}?sslmode=disable"}
    return urls | {"AUDIT_SINGLE_PRIMARY": "yes" if single else "no"}


def make_nodes(folder: Path, places: Sequence[Place], **env: str) -> list[Service]:
    """Initialised, not running. They share what *env* says; without AUDIT_URL each has a log of its own."""
    shared: dict[str, Any] = {"AUDIT_ORIGIN": "example.com/nodes", "SECRET_KEY": secrets.token_urlsafe(32)}
    shared |= {"CONSOLE_ENABLED": "no", **env}  # its index is one process more for each node
    made: list[Service] = []
    for number, place in enumerate(places):
        own = folder / f"node-{number}"
        if made and "AUDIT_URL" in env:
            (own / KEY).parent.mkdir(parents=True)
            shutil.copy(made[0].folder / KEY, own / KEY)
        elif made:
            shutil.copytree(made[0].folder, own)
        named = {"NODE_NAME": f"node-{number}", **shared}
        made.append((LaterService if made else Service)(own, host=place.host, prefix=place.prefix, **named))
    return made


@contextmanager
def nodes(folder: Path, count: int, *, client: str = "alice", **env: str) -> Iterator[tuple[list[Service], str]]:
    """*count* running nodes, and a token that is good on all of them."""
    made = make_nodes(folder, [Place()] * count, **env)
    secret = made[0].add_client(client)
    if "DATABASE_URL" not in env:
        for other in made[1:]:
            shutil.copyfile(made[0].folder / CLIENTS, other.folder / CLIENTS)
    with running(made):
        yield made, made[0].token(client, secret)


@contextmanager
def running(several: Sequence[Service]) -> Iterator[None]:
    """All of them started at once, and stopped at the end where they still run."""
    with ExitStack() as opened:
        for node in several:
            node.start(wait=False)
            opened.push(node)
        for node in several:
            node.wait_ready()
        yield
