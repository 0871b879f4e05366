"""Fixtures of the tests of clients and credentials: asyncio alone, and a client database of each test's own."""

from __future__ import annotations

from pathlib import Path

import pytest

from app.security.clients.database import Where

from ...support.client_database import make_database
from ...support.postgres_clients import make_clients


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(params=["sqlite", "postgres"])
def where(request: pytest.FixtureRequest, tmp_path: Path) -> Where:
    """An empty database of each kind: one list of tests holds for both."""
    if request.param == "sqlite":
        return make_database(tmp_path / "clients.sqlite3")
    return make_clients(request.getfixturevalue("postgres"))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return make_database(tmp_path / "clients.sqlite3")
