"""`init` and the other commands if the log is missing, emptied, or created by several at once."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from app.audit.storage.jsonl import JsonlStore

from ..support.service import Service
from ..support.stored_log import verify


@pytest.fixture
def house(tmp_path: Path) -> Service:
    return Service(tmp_path / "house", OPENAI_BASE_URL="http://127.0.0.1:9/v1")


def complains(house: Service, *arguments: str) -> str:
    done = house.run(*arguments, status=2)
    assert "Traceback" not in done.stderr
    return done.stderr


def test_init_can_be_repeated(house: Service) -> None:
    before = house.log.read_bytes()
    assert house.cli("init")["receipt"] is None
    assert house.log.read_bytes() == before


def test_a_missing_log_beside_a_database_is_refused_by_every_command(house: Service) -> None:
    house.log.unlink()
    for command in (["init"], ["serve"], ["audit", "verify"], ["clients", "add", "alice", "--role", "ai.playground.user"]):
        assert "missing" in complains(house, *command)
    assert not house.log.exists()


@pytest.mark.parametrize("lock_too", [False, True])
def test_a_log_that_was_emptied_is_not_begun_again_by_init(house: Service, lock_too: bool) -> None:
    os.truncate(house.log, 0)
    if lock_too:
        house.log.with_name(house.log.name + ".lock").unlink()
    for command in (["init"], ["serve"], ["audit", "verify"]):
        assert "empty" in complains(house, *command)
    assert house.log.stat().st_size == 0


def test_init_new_log_names_the_old_head_even_of_a_log_that_is_gone(house: Service) -> None:
    last = house.records()[-1]
    house.log.unlink()
    house.cli("init", "--new-log")
    assert house.records()[0]["details"]["previous"]["head"]["hash"] == last["hash"]
    assert house.verify()["ok"]


def test_two_inits_at_once_make_one_log_and_both_succeed(tmp_path: Path, house: Service) -> None:
    folder = tmp_path / "new"
    folder.mkdir()
    command = [sys.executable, "-m", "app", "init", "--json"]
    pipes: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    inits = [subprocess.Popen(command, cwd=folder, env=house.env, **pipes) for _ in range(4)]
    said = [init.communicate(timeout=60) for init in inits]
    assert [init.returncode for init in inits] == [0] * 4, said
    assert sum(json.loads(out)["receipt"] is not None for out, _ in said) == 1
    assert verify(JsonlStore(folder / "logs" / "audit_log.jsonl")) == 1
