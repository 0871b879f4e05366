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

from ..support.clean_settings import use_defaults
from ..support.paths import ROOT
from ..support.service import Service
from ..support.stored_log import verify

EXAMPLE = ROOT / ".env.example"


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


def test_a_log_that_lost_its_key_is_refused_in_one_sentence(house: Service) -> None:
    house.log.with_suffix(".key").unlink()
    for command in ("init", "serve"):
        assert "is missing, and this log is signed with it. Restore it;" in complains(house, command)


def test_a_copied_example_becomes_a_working_installation(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    use_defaults(monkeypatch, tmp_path)
    monkeypatch.delenv("SECRET_KEY")
    (tmp_path / ".env").write_bytes(EXAMPLE.read_bytes())

    def run(command: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run([sys.executable, "-m", "app", command], capture_output=True, text=True, timeout=60)

    done = run("serve")
    assert (done.returncode, "Traceback" in done.stderr) == (2, False)
    assert f"SECRET_KEY is still the placeholder: {sys.executable} -m app init writes a new one into .env" in done.stderr
    assert [path.name for path in tmp_path.iterdir()] == [".env"], "nothing is made"
    done = run("init")
    assert (done.returncode, "wrote a fresh SECRET_KEY into .env" in done.stdout) == (0, True), done.stderr
    assert run("init").stdout.startswith("nothing was missing")
    written = (tmp_path / ".env").read_text().splitlines()
    changed = [(old, new) for old, new in zip(EXAMPLE.read_text().splitlines(), written, strict=True) if old != new]
    assert [new.partition("=")[0] for _, new in changed] == ["SECRET_KEY", "AUDIT_ORIGIN"]
