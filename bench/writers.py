"""Processes that write records together, as seen by the process that controls them."""

from __future__ import annotations

import contextlib
import json
import os
import select
import subprocess
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TypeVar

from .burst import Burst, Written
from .process import ROOT, ServerFailed, clean_environment

TIMEOUT_SECONDS = 60
HEAD_START_SECONDS = 0.05
W = TypeVar("W", bound=Written)


class Writers:
    """Several processes of one command; each runs `burst.obey`."""

    def __init__(self, name: str, command: Sequence[str], *, processes: int, log: Path) -> None:
        self.name = name
        self.processes = processes
        self.log = log
        self._processes: list[subprocess.Popen[bytes]] = []
        with log.open("ab") as errors:
            for _ in range(processes):
                self._processes.append(
                    subprocess.Popen(
                        command,
                        cwd=ROOT,
                        env=clean_environment(),
                        stdin=subprocess.PIPE,
                        stdout=subprocess.PIPE,
                        stderr=errors,
                        start_new_session=True,  # Ctrl-C must not reach them directly
                        bufsize=0,
                    )
                )

    def wait_until_ready(self) -> None:
        for process in self._processes:
            self._line(process)

    def burst(self, callers: int, seconds: float) -> Written:
        """Run all processes at once with *callers* in total. Raises ServerFailed."""
        parts = self.parts(callers, seconds, Written)
        return Written(sum(part.records for part in parts), sum(part.syncs for part in parts), sum(part.size for part in parts))

    def parts(self, callers: int, seconds: float, kind: type[W]) -> list[W]:
        """What each process reports."""
        share, rest = divmod(callers, len(self._processes))
        if rest:
            raise ValueError(f"{callers} callers cannot be shared out among {len(self._processes)} processes")
        order = Burst(share, time.monotonic() + HEAD_START_SECONDS, seconds)
        for process in self._processes:
            assert process.stdin is not None
            process.stdin.write(json.dumps(asdict(order)).encode() + b"\n")
        return [kind(**json.loads(self._line(process))) for process in self._processes]

    def stop(self) -> None:
        for process in self._processes:
            assert process.stdin is not None
            with contextlib.suppress(OSError):
                process.stdin.close()
        for process in self._processes:
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    def _line(self, process: subprocess.Popen[bytes]) -> bytes:
        assert process.stdout is not None
        line, deadline = b"", time.monotonic() + TIMEOUT_SECONDS
        while not line.endswith(b"\n"):
            ready, _, _ = select.select([process.stdout], [], [], max(0.0, deadline - time.monotonic()))
            piece = os.read(process.stdout.fileno(), 4096) if ready else b""
            if not piece:
                words = "\n".join(self.log.read_text(errors="replace").splitlines()[-20:])
                raise ServerFailed(f"{self.name} {'ended' if ready else 'did not answer'}:\n{words}")
            line += piece
        return line


@contextlib.contextmanager
def writing(writers: Writers) -> Iterator[Writers]:
    """Run the processes for the length of the block."""
    try:
        writers.wait_until_ready()
        yield writers
    finally:
        writers.stop()
