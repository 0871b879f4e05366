"""The whole application in this process, without a socket of its own: settings, database, log and notary are real."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from app.admin.setup import set_up
from app.main import create_app
from app.security.clients.store import open_clients
from app.settings import Settings, load_settings

from .clean_settings import use_defaults


@dataclass(frozen=True)
class WholeApp:
    http: TestClient
    settings: Settings

    def token(self, name: str, *roles: str) -> str:
        """Of a new client."""
        form = {"grant_type": "client_credentials", "client_id": name, "client_secret": self.add_client(name, *roles)}
        return str(self.http.post("/token", data=form).json()["access_token"])

    def add_client(self, name: str, *roles: str) -> str:
        """Its secret."""

        async def add() -> str:
            store = open_clients(self.settings.database)
            try:
                return await store.add(name, roles)
            finally:
                await store.aclose()

        return asyncio.run(add())


@contextmanager
def whole_app(folder: Path, **settings: str) -> Iterator[WholeApp]:
    """*folder*: empty. *settings* by their upper-case names."""
    with pytest.MonkeyPatch.context() as patch:
        use_defaults(patch, folder)
        for name, value in settings.items():
            patch.setenv(name, value)
        set_up()
        loaded = load_settings()
        with TestClient(create_app(loaded), base_url="http://gateway.test", client=("198.51.100.7", 50_000)) as http:
            yield WholeApp(http, loaded)
