"""Commands for breakers: what they print for people, and as JSON for programs."""

from __future__ import annotations

import json

import pytest

from app.admin import breakers as operator_tasks
from app.admin.breakers import BreakerState

from ...support.commands import returning, run

STATES = [
    BreakerState("lab", is_open=True, seconds_left=2.1, failures=5),
    BreakerState("late", is_open=True, seconds_left=0.0, failures=5),
    BreakerState("spare", is_open=False, seconds_left=0.0, failures=1),
]


def test_breakers_are_a_table_or_a_list_of_documents(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(operator_tasks, "list_breakers", lambda: STATES)
    assert run("breaker", "list") == (
        f"{'lab':<24} open, for 3 s more\n"
        f"{'late':<24} open, until the next question is answered\n"
        f"{'spare':<24} closed (1 failures in a row)\n"
    )
    assert json.loads(run("breaker", "list", "--json"))[0] == {
        "server": "lab",
        "is_open": True,
        "seconds_left": 2.1,
        "failures": 5,
    }


def test_without_a_service_there_are_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(operator_tasks, "list_breakers", list)
    assert run("breaker", "list") == "No service runs here, or its log is another one.\n"


def test_a_breaker_is_closed_by_the_name_of_its_server(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[tuple[object, ...]] = []
    monkeypatch.setattr(operator_tasks, "close_breaker", returning(None, calls))
    assert run("breaker", "close", "lab") == "The breaker of lab is closed.\n"
    assert json.loads(run("breaker", "close", "lab", "--json")) == {"server": "lab", "is_open": False}
    assert calls == [("lab",), ("lab",)]
