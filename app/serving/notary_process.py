"""The notary process: signs the head of the log while the service runs."""

from __future__ import annotations

import signal
import threading
from pathlib import Path

from ..kit.process import show_as


def run_notary(paths: tuple[Path, Path, Path]) -> int:
    """The notary's process: small, off the road of a question, restarted like a worker."""
    from ..security.security_log import SecurityLog
    from ..wiring.audit import LogFiles, open_signing_loop

    show_as("notary")
    files = LogFiles(*paths)

    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda number, frame: stop.set() if number == signal.SIGTERM else None)
    open_signing_loop(files, SecurityLog(files.security_log_path)).run(stop)
    return 0
