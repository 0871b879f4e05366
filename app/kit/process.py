"""Processes: private memory, children by fork and spawn, a name for `ps`, an end with parents."""

from __future__ import annotations

import ctypes
import logging
import os
import queue
import resource
import signal
import sys
import threading
import weakref
from collections.abc import Callable
from typing import Protocol

from ..errors import AppError

LOG = logging.getLogger("app.process")
EXIT_CONFIG = 2
"""The exit status of a child that cannot start as it is configured."""
_PR_SET_PDEATHSIG, _PR_SET_DUMPABLE, _PR_SET_NAME = 1, 4, 15  # linux/prctl.h


def fork(work: Callable[[], int]) -> int:
    """The child's pid.

    The child ends with the status that *work* returns, with EXIT_CONFIG for an AppError (logged as
    one sentence), with 1 for any other exception (logged), and with its parent.
    """
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
        LOG.error("%s", error.detail)  # a stack trace would say less to an operator
        status = EXIT_CONFIG
    except SystemExit as end:  # uvicorn's, whose startup failed and was logged
        status = end.code if isinstance(end.code, int) else 1
    except KeyboardInterrupt:
        status = 0
    except BaseException:
        LOG.exception("A child process failed.")
    finally:
        try:
            logging.shutdown()
            sys.stdout.flush()
        finally:
            os._exit(status)


class Resettable(Protocol):
    def reset_in_child(self) -> None: ...


_RESET_AFTER_FORK: weakref.WeakSet[Resettable] = weakref.WeakSet()


def reset_after_fork(one: Resettable) -> None:
    """Every forked child calls `one.reset_in_child()`: threads and locks do not survive a fork."""
    _RESET_AFTER_FORK.add(one)


def _reset_all() -> None:
    for one in list(_RESET_AFTER_FORK):
        one.reset_in_child()


os.register_at_fork(after_in_child=_reset_all)


def show_as(name: str) -> None:
    """Name this process in `ps` and `top`, at most 15 bytes."""
    _prctl(_PR_SET_NAME, name.encode())


def keep_memory_private() -> None:
    """No core file, and no other process of this user reads memory, environment or descriptors.

    Forked children inherit it; a new program must call it again. /proc/PID then belongs to root.
    """
    _prctl(_PR_SET_DUMPABLE, 0)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def _prctl(option: int, value: int | bytes) -> None:
    ctypes.CDLL(None).prctl(option, value, 0, 0, 0)


def die_with(parent: int, number: int) -> None:
    """Get signal *number* when the process *parent* dies, however it dies."""
    _prctl(_PR_SET_PDEATHSIG, number)
    if os.getppid() != parent:  # it died before that
        os._exit(1)


def wait_for_stop(parent: int) -> None:
    """Return when *parent* sends SIGTERM, or is dead. Block SIGTERM in all threads before.

    Anybody else's SIGTERM is ignored: systemd sends it to all processes of a service at once, and
    a child that stops last is needed until its parent says so.
    """
    while signal.sigwaitinfo({signal.SIGTERM}).si_pid != parent and os.getppid() == parent:
        pass


def stopped_by(*numbers: signal.Signals) -> threading.Event:
    """An event that is set once one of *numbers* comes.

    A thread sets it: the handler runs in the main thread, which may just hold the event's lock.
    """
    stop, came = threading.Event(), queue.SimpleQueue[None]()

    def set_it() -> None:
        came.get()
        stop.set()

    threading.Thread(target=set_it, name="stop", daemon=True).start()
    for number in numbers:
        signal.signal(number, lambda number, frame: came.put(None))
    return stop


def ask_child(work: Callable[[], bytes]) -> bytes:
    """What *work* returns in a child process, so that its imports do not stay here.

    Raises SystemExit with the child's status if it fails; the child has logged why.
    """
    reader, writer = os.pipe()

    def answer() -> int:
        with os.fdopen(writer, "wb") as pipe:
            pipe.write(work())
        return 0

    pid = fork(answer)
    os.close(writer)
    with os.fdopen(reader, "rb") as pipe:
        answered = pipe.read()
    status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    if status:
        sys.exit(EXIT_CONFIG if status == EXIT_CONFIG else 1)
    return answered


def spawn(argv: list[str], environment: dict[str, str]) -> int:
    """The pid of a new program, with every signal unblocked."""
    return os.posix_spawn(argv[0], argv, environment, setsigmask=())
