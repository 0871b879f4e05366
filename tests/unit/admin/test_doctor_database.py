"""The client database and the store of the budgets: sound, damaged, or not there."""

from __future__ import annotations

import asyncio
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from app.admin import clients
from app.admin.doctor_database import look, look_at_budgets
from app.security.roles import ASK
from app.settings import load_settings

from ...support import installation

CLIENTS, BUDGETS = Path("logs/clients.sqlite3"), Path("logs/budgets.sqlite3")


@pytest.fixture(autouse=True)
def installed(place: Path) -> None:
    installation.init()


def damage(path: Path) -> None:
    data = path.read_bytes()
    path.write_bytes(data[:4096] + b"x" * (len(data) - 4096))


def test_a_database_with_a_client_is_sound() -> None:
    (finding,) = look(load_settings())
    assert (finding.state, "is sound, and nobody can ask: " in finding.says) == ("note", True)
    asyncio.run(clients.add_client("alice", [ASK]))
    (finding,) = look(load_settings())
    assert (finding.state, finding.says.endswith("clients.sqlite3 is sound.")) == ("ok", True)


def test_a_store_of_budgets_that_is_not_there_is_no_trouble() -> None:
    (finding,) = look_at_budgets(load_settings())
    assert (finding.state, "it is made from the log" in finding.says) == ("ok", True)
    assert not BUDGETS.exists()


def test_a_damaged_store_of_budgets_may_be_removed() -> None:
    with closing(sqlite3.connect(BUDGETS)) as made:
        made.execute("CREATE TABLE pots (x)")
        made.executemany("INSERT INTO pots VALUES (?)", [("y" * 999,)] * 99)
        made.commit()
    (finding,) = look_at_budgets(load_settings())
    assert (finding.state, "budget audit compares it with the log" in finding.says) == ("ok", True)
    damage(BUDGETS)
    (finding,) = look_at_budgets(load_settings())
    assert (finding.state, "remove it; it is made again from the log." in finding.says) == ("trouble", True)
    BUDGETS.write_bytes(b"no database at all" * 99)
    (finding,) = look_at_budgets(load_settings())
    assert finding.state == "trouble"
