"""Services that share one ledger, each in a folder of its own, as on machines of their own."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

from app.audit.format.note import VerifierKey, verify_checkpoint

from .own_ledger import new_place
from .postgres_server import PostgresServer
from .service import HTTP, LaterService, Service


class Nodes:
    """Use `with nodes.one, nodes.other:`. Both know the client `alice`, under one secret key."""

    def __init__(self, folder: Path, server: PostgresServer, **env: Any) -> None:
        self.server, self.ledger = server, new_place(server)
        given: dict[str, Any] = {"AUDIT_SINGLE_PRIMARY": "yes", "AUDIT_ORIGIN": "example.com/log", **env}
        self.one = Service(folder / "one", AUDIT_URL=self.ledger.url, NODE_NAME="one", **given)
        secret = self.one.add_client()
        (folder / "other/logs").mkdir(parents=True)
        for name in ("audit_log.key", "clients.sqlite3"):
            if (folder / "one/logs" / name).exists():  # clients may be on a server
                shutil.copy(folder / "one/logs" / name, folder / "other/logs" / name)
        self.other = LaterService(folder / "other", AUDIT_URL=self.ledger.url, NODE_NAME="other", **given)
        self.other.env["SECRET_KEY"] = self.one.env["SECRET_KEY"]
        self.client = "alice", secret

    def query(self, sql: str, *values: object) -> list[tuple[Any, ...]]:
        """As a superuser."""
        return self.server.query(sql, *values, database=self.database)

    @property
    def database(self) -> str:
        return self.ledger.url.rpartition("/")[2]


def ask(service: Service, token: str) -> dict[str, Any]:
    """The receipt of an answer."""
    answer = service.ask(token)
    assert answer.status_code == 200, answer.text
    return dict(answer.json()["receipt"])


def size_at(service: Service) -> int:
    """How many records the head that it serves covers."""
    key = VerifierKey.parse(HTTP.get(f"{service.url}/audit/vkey").text.strip())
    return verify_checkpoint(HTTP.get(f"{service.url}/audit/checkpoint").content, key).size


def get(service: Service, token: str, path: str) -> bytes:
    response = HTTP.get(service.url + path, headers={"Authorization": f"Bearer {token}"})
    assert response.status_code == 200, response.text
    return response.content
