"""A log on a network file system is refused at the start; strace makes statfs(2) report one."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from app.audit.storage.file_system import LOCKS_DO_NOT_HOLD

from ..support.optional import leave_out
from ..support.paths import ROOT

ENOSYS = "error=ENOSYS"


def answered(kind: int) -> str:
    """The bytes that replace f_type, a C long, in the result of statfs(2)."""
    return f"poke_exit=@arg2={kind.to_bytes(8, sys.byteorder).hex()}"


def strace(folder: Path, answer: str, *command: str) -> subprocess.CompletedProcess[str]:
    """Run *command* in *folder* with this result of every statfs(2)."""
    if shutil.which("strace") is None:
        leave_out("strace is missing (Debian: apt-get install strace)")
    prefix = ["strace", "-f", "-qq", "-o", str(folder / "trace"), "-e", "trace=statfs", "-e", f"inject=statfs:{answer}"]
    env = {"PATH": os.environ["PATH"], "SECRET_KEY": "s" * 43, "OPENAI_BASE_URL": "http://127.0.0.1:9"}
    done = subprocess.run([*prefix, *command], cwd=folder, env=env, capture_output=True, text=True, timeout=120)
    if "invalid" in done.stderr and "inject" in done.stderr:
        leave_out("this strace cannot write over what a system call returned (poke_exit: strace 5.11 or newer)")
    if "ptrace" in done.stderr.lower() and "permitted" in done.stderr:
        leave_out("this machine does not let one process trace another (ptrace)")
    return done


@pytest.mark.parametrize("command", [["init"], ["serve", "--port", "0"]], ids=lambda words: words[0])
def test_a_log_on_nfs_is_refused_at_the_start_and_nothing_is_made(command: list[str], tmp_path: Path) -> None:
    done = strace(tmp_path, answered(0x6969), sys.executable, "-m", "app", *command)
    assert done.returncode == 2, done.stdout + done.stderr
    assert "network file system (NFS)" in done.stderr
    assert "name a path on a disk of this machine" in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "logs").exists()


def test_a_log_that_was_moved_to_nfs_is_refused(tmp_path: Path) -> None:
    env = {"SECRET_KEY": "s" * 43, "OPENAI_BASE_URL": "http://127.0.0.1:9"}
    subprocess.run([sys.executable, "-m", "app", "init"], cwd=tmp_path, env=env, check=True, capture_output=True, timeout=60)
    log = (tmp_path / "logs/audit_log.jsonl").read_bytes()
    for command in (["init"], ["serve", "--port", "0"]):
        done = strace(tmp_path, answered(0x6969), sys.executable, "-m", "app", *command)
        assert done.returncode == 2, done.stdout + done.stderr
        assert "NFS" in done.stderr
    assert (tmp_path / "logs/audit_log.jsonl").read_bytes() == log


ASK = "import sys, pathlib; from app.audit.storage.file_system import verify_locks_hold as ask; ask(pathlib.Path(sys.argv[1]))"


@pytest.mark.parametrize("kind", LOCKS_DO_NOT_HOLD, ids=hex)
def test_every_network_file_system_of_the_list_is_refused_by_its_name(kind: int, tmp_path: Path) -> None:
    done = strace(tmp_path, answered(kind), sys.executable, "-c", f"import sys; sys.path.append({str(ROOT)!r}); {ASK}", "log")
    assert done.returncode == 1
    assert f"({LOCKS_DO_NOT_HOLD[kind]})" in done.stderr


@pytest.mark.parametrize("answer", [answered(0xEF53), answered(0x65735546), ENOSYS], ids=["ext4", "fuse", "no answer"])
def test_a_disk_of_this_machine_and_what_cannot_be_asked_are_not_refused(answer: str, tmp_path: Path) -> None:
    done = strace(tmp_path, answer, sys.executable, "-c", f"import sys; sys.path.append({str(ROOT)!r}); {ASK}", "log")
    assert done.returncode == 0, done.stderr


def test_the_nearest_existing_folder_is_checked(tmp_path: Path) -> None:
    log = tmp_path / "not" / "yet" / "log"
    code = f"import sys; sys.path.append({str(ROOT)!r}); {ASK}"
    done = strace(tmp_path, answered(0x6969), sys.executable, "-c", code, str(log))
    assert done.returncode == 1
    assert f'statfs("{tmp_path}",' in (tmp_path / "trace").read_text()
