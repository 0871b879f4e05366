"""Runs commands of the product in processes that are forked from one which has imported them: half a second less each.

    python -m tests.support.command_server NAME PARENT

For what a test sets up. A command that a test is about starts as a user starts it: Service.run.
"""

from __future__ import annotations

import gc
import json
import os
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Mapping
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import NoReturn

from .leftovers import SHARED_CHILDREN
from .paths import ROOT

COMMANDS = ("init", "clients")
BESIDE = ("alembic.command", "sqlalchemy.dialects.sqlite.aiosqlite", "encodings.idna")
"""What they import late."""
WAIT_SECONDS = 120.0
LOOK_SECONDS = 1.0


def run_forked(words: list[str], folder: Path, environment: Mapping[str, str]) -> subprocess.CompletedProcess[str]:
    """As `python -m app` with *words* would end in *folder*."""
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err, socket.socket(socket.AF_UNIX) as call:
        call.settimeout(WAIT_SECONDS)
        call.connect(_server())
        asked = json.dumps({"words": words, "folder": str(folder), "environment": dict(environment)}).encode()
        socket.send_fds(call, [struct.pack("I", len(asked))], [out.fileno(), err.fileno()])
        call.sendall(asked)
        told = call.recv(4)
        assert told, f"{words}: the command was killed"
        said = [_text(file.fileno()) for file in (out, err)]
        return subprocess.CompletedProcess(words, struct.unpack("i", told)[0], *said)


def _text(fd: int) -> str:
    return os.pread(fd, os.fstat(fd).st_size, 0).decode()


@cache
def _server() -> str:
    """The address of the one of this process, once it listens."""
    name = f"\0suite-commands-{os.getpid()}"
    command = [sys.executable, "-m", "tests.support.command_server", name[1:], str(os.getpid())]
    process = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.DEVNULL)
    SHARED_CHILDREN.add(process.pid)
    end = time.monotonic() + WAIT_SECONDS
    while True:
        try:
            with socket.socket(socket.AF_UNIX) as call:
                call.connect(name)
            return name
        except ConnectionRefusedError:
            assert process.poll() is None, "the server of commands did not start"
            assert time.monotonic() < end, "the server of commands does not answer"
            time.sleep(0.02)


# --- in the server ---------------------------------------------------------------------------------


def serve(name: str, parent: int) -> None:
    """Until *parent* has ended."""
    for module in (*(f"app.cli.{one}" for one in COMMANDS), *BESIDE):
        import_module(module)
    gc.disable()  # as a command does
    gc.freeze()
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for them
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(f"\0{name}")
        listener.listen()
        listener.settimeout(LOOK_SECONDS)
        while os.getppid() == parent:
            try:
                call, _ = listener.accept()
            except TimeoutError:
                continue
            if _is_ours(call) and os.fork() == 0:
                _answer(call)
            call.close()


def _is_ours(call: socket.socket) -> bool:
    _, user, _ = struct.unpack("3i", call.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))
    return bool(user == os.getuid())


def _answer(call: socket.socket) -> NoReturn:
    status = 1
    try:
        call.setblocking(True)
        head, fds, _, _ = socket.recv_fds(call, 4, 2)
        if not head:  # it only looked whether somebody listens
            os._exit(0)
        asked = b""
        while len(asked) < struct.unpack("I", head)[0]:
            asked += call.recv(1 << 16)
        for fd, place in zip(fds, (1, 2), strict=True):
            os.dup2(fd, place)
        status = _run(**json.loads(asked))
    except BaseException:  # noqa: BLE001 - whatever it is, the caller learns of it
        traceback.print_exc()
    sys.stdout.flush()
    sys.stderr.flush()
    call.sendall(struct.pack("i", status))
    os._exit(0)


def _run(words: list[str], folder: str, environment: dict[str, str]) -> int:
    from app.cli.main import main  # late: this module is imported by tests

    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    sys.argv = [str(ROOT / "app/__main__.py"), *words]
    sys.orig_argv = [sys.executable, "-m", "app", *words]
    try:
        main()
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else int(end.code is not None)
    return 0


if __name__ == "__main__":
    serve(sys.argv[1], int(sys.argv[2]))
