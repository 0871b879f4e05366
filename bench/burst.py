"""A burst of records: what a writing process is told, what it reports, and how it obeys. Standard library only."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass


@dataclass(frozen=True)
class Burst:
    """So many callers, each of whom waits until its record is durable before handing in the next."""

    callers: int
    begin: float
    """By time.monotonic(), which all processes of a machine share."""
    seconds: float

    @property
    def end(self) -> float:
        return self.begin + self.seconds

    def wait(self) -> None:
        """Until it begins, so that processes that write together begin together."""
        time.sleep(max(0.0, self.begin - time.monotonic()))


@dataclass(frozen=True)
class Written:
    records: int
    """Acknowledged within the burst."""
    syncs: int
    """Writes that were synced meanwhile: what shares one was acknowledged together."""
    size: int = 0
    """Bytes written by these syncs, where the writer knows."""


def obey(run: Callable[[Burst], Written]) -> None:
    """Say that the imports are done; then one line of JSON in, one out, until the input ends."""
    print("ready", flush=True)
    for line in sys.stdin:
        print(json.dumps(asdict(run(Burst(**json.loads(line))))), flush=True)
