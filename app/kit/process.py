"""Child processes: fork, spawn, a name for `ps`, and an end with their parent."""

from __future__ import annotations

import ctypes
import logging
import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from ..errors import AppError

LOG = logging.getLogger("app.process")
EXIT_CONFIG = 2
"""The exit status of a child that cannot start as things are: the first time it ends the family, later it is tried again."""


_PR_SET_PDEATHSIG = 1  # linux/prctl.h


def fork(work: Callable[[], int]) -> int:
    """The child's pid. It ends with the status that *work* returns, or EXIT_CONFIG for an AppError, and with its parent."""
    parent = os.getpid()
    pid = os.fork()
    if pid:
        return pid
    status = 1
    try:
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGCHLD):
            signal.signal(number, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_SETMASK, ())
        die_with(parent, signal.SIGTERM)
        status = work()
    except AppError as error:
        LOG.error("%s", error.detail)  # one sentence for the operator; a stack trace says less
        status = EXIT_CONFIG
    except SystemExit as end:  # uvicorn's, whose startup failed and was logged
        status = end.code if isinstance(end.code, int) else 1
    except KeyboardInterrupt:
        status = 0
    except BaseException:  # the child's outermost door: it must not return into the parent's code
        LOG.exception("A worker failed.")
    finally:
        try:
            logging.shutdown()
            sys.stdout.flush()
        finally:
            os._exit(status)


def show_as(name: str) -> None:
    """What `ps` and `top` call this process, so that an operator can tell a worker from the notary."""
    with suppress(OSError):  # Linux only
        Path("/proc/self/comm").write_text(name)


def die_with(parent: int, number: int) -> None:
    """Ask the kernel for a signal when the process *parent* dies, however it does; elsewhere a thread watches for it."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, number)
    else:
        threading.Thread(target=_watch, args=(parent, number), daemon=True).start()
    if os.getppid() != parent:
        os._exit(1)


def _watch(parent: int, number: int) -> None:
    while os.getppid() == parent:
        time.sleep(0.5)
    os.kill(os.getpid(), number)


def ask_child(work: Callable[[], bytes]) -> bytes:
    """What *work* returns in a child of its own, so that what it imports is not kept here. SystemExit if the child fails."""
    reader, writer = os.pipe()

    def answer() -> int:
        with os.fdopen(writer, "wb") as pipe:
            pipe.write(work())
        return 0

    pid = fork(answer)
    os.close(writer)
    with os.fdopen(reader, "rb") as pipe:
        told = pipe.read()
    status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    if status:
        sys.exit(EXIT_CONFIG if status == EXIT_CONFIG else 1)
    return told


def spawn(argv: list[str], environment: dict[str, str]) -> int:
    return os.posix_spawn(argv[0], argv, environment, setsigmask=())
