"""The notary process: signs checkpoints of the log while the service runs."""

from __future__ import annotations

import os
import signal
import threading

from ..audit.evidence.health import LogHealth
from ..kit.process import show_as, wait_for_stop
from ..security.security_log import SecurityLog
from ..wiring.audit import open_signing_loop
from ..wiring.log_files import LogFiles
from .child import ReadyFlag


def run_notary(log_files: LogFiles, health: LogHealth, ready: ReadyFlag) -> int:
    """Sign, and watch the log, until the parent sends SIGTERM.

    Raises ConfigError for a log key that cannot be used.
    """
    show_as("notary")
    stop, parent = threading.Event(), os.getppid()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group; the parent decides
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})  # before the threads, which inherit the mask
    events = SecurityLog(log_files.security_log_path)
    signal.signal(signal.SIGHUP, lambda number, frame: events.reopen())
    signing_loop = open_signing_loop(log_files, events, health)

    def await_stop() -> None:
        wait_for_stop(parent)
        stop.set()

    threading.Thread(target=await_stop, name="stop", daemon=True).start()
    ready.set()
    signing_loop.run(stop)
    events.close()
    return 0
