"""A burst of records: the order to a writing process, its report, and the loop that serves orders. Standard library only."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass


@dataclass(frozen=True)
class Burst:
    """Several callers; each waits until its record is durable before it submits the next."""

    callers: int
    begin: float
    """time.monotonic(), the same for all processes of a machine."""
    seconds: float

    @property
    def end(self) -> float:
        return self.begin + self.seconds

    def wait(self) -> None:
        """Wait until the burst begins, so that several processes begin together."""
        time.sleep(max(0.0, self.begin - time.monotonic()))


@dataclass(frozen=True)
class Written:
    records: int
    """Records acknowledged within the burst."""
    syncs: int
    """Synced writes; records that share one were acknowledged together."""
    size: int = 0
    """Bytes written by these syncs, if the writer knows."""


def obey(run: Callable[[Burst], Written]) -> None:
    """Report that the imports are done; then answer each line of JSON with one, until the input ends."""
    print("ready", flush=True)
    for line in sys.stdin:
        print(json.dumps(asdict(run(Burst(**json.loads(line))))), flush=True)
