"""The process that builds the index of the records, for the console. It takes only idle time."""

from __future__ import annotations

import os
import signal
import threading

from ..audit.index.demand import Demand
from ..kit.process import show_as, wait_for_stop
from ..wiring.log_files import LogFiles
from ..wiring.record_index import open_index_builder
from .child import ReadyFlag

NICE = 19


def run_index(log_files: LogFiles, demand: Demand, ready: ReadyFlag) -> int:
    """Follow the log until the parent sends SIGTERM."""
    show_as("index")
    os.nice(NICE)
    stop, parent = threading.Event(), os.getppid()
    for number in (signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})  # before the threads, which inherit the mask

    def await_stop() -> None:
        wait_for_stop(parent)
        stop.set()

    threading.Thread(target=await_stop, name="stop", daemon=True).start()
    ready.set()
    open_index_builder(log_files, demand).run(stop)
    return 0
