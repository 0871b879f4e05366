"""The notary process: signs checkpoints of the log while the service runs."""

from __future__ import annotations

import signal
import threading

from ..kit.process import show_as
from ..security.security_log import SecurityLog
from ..wiring.audit import open_signing_loop
from ..wiring.log_files import LogFiles


def run_notary(log_files: LogFiles) -> int:
    """Sign until SIGTERM. Raises ConfigError for a log key that cannot be used."""
    show_as("notary")
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda number, frame: stop.set())
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group; the parent decides
    open_signing_loop(log_files, SecurityLog(log_files.security_log_path)).run(stop)
    return 0
