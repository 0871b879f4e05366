"""init: the log, its key and its first head; whoever dies in between, the next init finishes; no name ever has two logs."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from app.security.audit.jsonl import JsonlStore
from app.security.audit.log import AuditLog
from app.security.audit.log_key import load_signer
from app.security.audit.merkle import leaf_hash, root_of
from app.security.audit.note import VerifierKey, verify_checkpoint

ROOT = Path(__file__).parents[1]
ENV = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), "OPENAI_BASE_URL": "http://127.0.0.1:1/v1", "NO_COLOR": "1"}
KILLING = """
import json, os, sys
from app import birth, errors, wiring
from app.security.audit import log, log_key, files, jsonl

where, when = sys.argv[1], int(sys.argv[2])
calls = 0

def deadly(call):
    def instead(*args, **more):
        global calls
        calls += 1
        if calls == when:
            os._exit(9)
        done = call(*args, **more)
        if calls + 1000 == when:
            os._exit(9)
        return done
    return instead

class Os:
    def __getattr__(self, name):
        call = getattr(os, name)
        return deadly(call) if name in ("open", "rename", "link", "pwrite", "fsync", "fdatasync") else call

for module in {"files": (files, log_key, jsonl, birth)}[where]:
    module.os = Os()
sys.argv = ["init"]
birth.initialise(new_log=bool(os.environ.get("NEW_LOG")))
print(calls)
"""


def run(folder: Path, *arguments: str, status: int | None = 0, **env: str) -> subprocess.CompletedProcess[str]:
    folder.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, *arguments]
    done = subprocess.run(command, cwd=folder, env={**ENV, **env}, capture_output=True, text=True, timeout=120)
    assert status is None or done.returncode == status, f"{done.returncode}\n{done.stdout}\n{done.stderr}"
    return done


def init(folder: Path, *options: str, **env: str) -> dict[str, Any]:
    return dict(json.loads(run(folder, "-m", "app", "init", "--json", *options, **env).stdout))


def check_sound(log: Path, key: Path) -> str:
    """A log, its first record that names its key, its head signed by that; the log's name."""
    lines = log.read_bytes().split(b"\n")[:-1]
    details = json.loads(lines[0])["details"]
    signer = load_signer(key)
    assert details["vkey"] == signer.verifier_key.text()
    assert details["origin"] == signer.name
    head = verify_checkpoint((log.with_suffix(".tree") / "checkpoint").read_bytes(), VerifierKey.parse(details["vkey"]))
    assert head.root == root_of(leaf_hash(line) for line in lines[: head.size])
    assert AuditLog(JsonlStore(log)).verify().ok
    return signer.name


def names(folder: Path) -> list[str]:
    return sorted(os.listdir(folder / "logs"))


FILES = ["audit_log.jsonl", "audit_log.jsonl.lock", "audit_log.key", "audit_log.tree", "clients.sqlite3"]


def test_init_makes_a_key_under_the_log_s_name_and_the_first_record_names_it(tmp_path: Path) -> None:
    made = init(tmp_path, SECRET_KEY="s" * 43, AUDIT_ORIGIN="example.com/log")
    assert made["log_key"] == "logs/audit_log.key"
    assert stat.S_IMODE((tmp_path / "logs/audit_log.key").stat().st_mode) == 0o600
    assert check_sound(tmp_path / "logs/audit_log.jsonl", tmp_path / "logs/audit_log.key") == "example.com/log"
    assert names(tmp_path) == FILES


def test_init_again_changes_nothing(tmp_path: Path) -> None:
    init(tmp_path)
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    again = init(tmp_path)
    assert set(again.values()) == {None}
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before
    assert f"AUDIT_ORIGIN={load_signer(tmp_path / 'logs/audit_log.key').name}\n" in (tmp_path / ".env").read_text()


def test_many_inits_at_once_make_one_log_with_one_key(tmp_path: Path) -> None:
    with ThreadPoolExecutor(4) as pool:
        made = list(pool.map(lambda _: init(tmp_path, SECRET_KEY="s" * 43), range(4)))
    assert sum(one["audit_log"] is not None for one in made) == 1
    assert sum(one["log_key"] is not None for one in made) == 1
    check_sound(tmp_path / "logs/audit_log.jsonl", tmp_path / "logs/audit_log.key")
    assert names(tmp_path) == FILES


def kept_ones(folder: Path) -> list[tuple[Path, Path]]:
    """Logs that were set aside, with their keys."""
    logs = sorted((folder / "logs").glob("audit_log.retired.*.jsonl"))
    return [(log, log.with_suffix(".key")) for log in logs]


def test_a_new_log_has_a_new_name_and_key_and_the_old_one_is_kept_whole_under_matching_names(tmp_path: Path) -> None:
    """Again and again: every one of them has a name of its own."""
    secret = {"SECRET_KEY": "s" * 43, "AUDIT_ORIGIN": "example.com/log"}
    init(tmp_path, **secret)
    for _ in range(2):
        init(tmp_path, "--new-log", **secret)
    logs = [(tmp_path / "logs/audit_log.jsonl", tmp_path / "logs/audit_log.key"), *kept_ones(tmp_path)]
    origins = {check_sound(*log) for log in logs}
    assert len(origins) == len(logs) == 3
    assert all(origin == "example.com/log" or origin.startswith("example.com/log/") for origin in origins)
    run(tmp_path, "-m", "app", "audit", "verify", **secret)


def test_a_new_log_after_the_key_was_lost_does_not_take_the_old_name(tmp_path: Path) -> None:
    secret = {"SECRET_KEY": "s" * 43, "AUDIT_ORIGIN": "example.com/log"}
    init(tmp_path, **secret)
    (tmp_path / "logs/audit_log.key").unlink()
    init(tmp_path, "--new-log", **secret)
    assert check_sound(tmp_path / "logs/audit_log.jsonl", tmp_path / "logs/audit_log.key") != "example.com/log"


def test_a_log_from_before_logs_were_signed_gets_a_key(tmp_path: Path) -> None:
    store = JsonlStore(tmp_path / "logs/audit_log.jsonl")
    AuditLog(store).create({"software": "secure-ai-assistant 0.0.9"})
    store.close()
    made = init(tmp_path, SECRET_KEY="s" * 43, AUDIT_ORIGIN="example.com/log")
    assert (made["audit_log"], made["log_key"]) == (None, "logs/audit_log.key")
    assert load_signer(tmp_path / "logs/audit_log.key").name == "example.com/log"
    assert set(init(tmp_path, SECRET_KEY="s" * 43, AUDIT_ORIGIN="example.com/log").values()) == {None}


# --- refused at the start ------------------------------------------------------------------------


def check_start_refused(folder: Path, what: str, **env: str) -> None:
    done = run(folder, "-m", "app", "serve", "--port", "0", status=2, **env)
    assert what in done.stderr
    assert "Traceback" not in done.stderr


def test_a_service_without_its_key_or_under_another_name_does_not_start(tmp_path: Path) -> None:
    init(tmp_path)
    key = tmp_path / "logs/audit_log.key"
    check_start_refused(tmp_path, "AUDIT_ORIGIN is other/log, but this log is called", AUDIT_ORIGIN="other/log")
    key.chmod(0o644)
    check_start_refused(tmp_path, "can be read by others than the service: chmod 600")
    key.chmod(0o600)
    text = key.read_bytes()
    key.write_bytes(b"")
    check_start_refused(tmp_path, "holds no log key")
    key.unlink()
    check_start_refused(tmp_path, "is missing, and this log is signed with it. Restore it;")
    assert "is missing, and this log is signed with it" in run(tmp_path, "-m", "app", "init", status=2).stderr
    key.write_bytes(text)
    key.chmod(0o600)
    (tmp_path / "logs/audit_log.tree/checkpoint").unlink()
    assert set(init(tmp_path).values()) == {None}


# --- killed in between ---------------------------------------------------------------------------


def steps(folder: Path, **env: str) -> int:
    return int(run(folder, "-c", KILLING, "files", "0", SECRET_KEY="s" * 43, AUDIT_ORIGIN="example.com/log", **env).stdout)


def killed(folder: Path, step: int, **env: str) -> None:
    run(folder, "-c", KILLING, "files", str(step), status=9, SECRET_KEY="s" * 43, AUDIT_ORIGIN="example.com/log", **env)


def test_an_init_that_is_killed_at_any_call_is_finished_by_the_next(tmp_path: Path) -> None:
    count = steps(tmp_path / "whole")
    assert count > 20

    def check(step: int) -> None:
        folder = tmp_path / str(step)
        killed(folder, step)
        run(folder, "-m", "app", "init", SECRET_KEY="s" * 43, AUDIT_ORIGIN="example.com/log")
        assert check_sound(folder / "logs/audit_log.jsonl", folder / "logs/audit_log.key") == "example.com/log"
        left = set(names(folder)) - set(FILES)
        assert all(name.startswith("audit_log.key.new.") for name in left), left

    with ThreadPoolExecutor(3) as pool:
        list(pool.map(check, range(1, count + 1)))


@pytest.mark.parametrize("then", ["init", "init --new-log"])
def test_a_new_log_that_is_killed_at_any_call_is_finished_by_the_next_and_no_key_serves_two_logs(
    tmp_path: Path, then: str
) -> None:
    secret = {"SECRET_KEY": "s" * 43, "AUDIT_ORIGIN": "example.com/log"}
    init(tmp_path / "whole", **secret)
    count = steps(tmp_path / "whole", NEW_LOG="1")
    assert count > 20

    def check(step: int) -> None:
        folder = tmp_path / str(step)
        init(folder, **secret)
        killed(folder, step, NEW_LOG="1")
        done = run(folder, "-m", "app", *then.split(), status=None, **secret)
        if done.returncode:  # between two renames there is no log: only --new-log goes on from there
            assert "is missing" in done.stderr
            init(folder, "--new-log", **secret)
        logs = [(folder / "logs/audit_log.jsonl", folder / "logs/audit_log.key"), *kept_ones(folder)]
        origins = [check_sound(log, key) for log, key in logs if key.exists()]
        assert len(origins) == len(set(origins))
        assert len(origins) >= len(logs) - 1

    with ThreadPoolExecutor(3) as pool:
        list(pool.map(check, range(1, count + 1, 1 if then == "init --new-log" else 2)))
