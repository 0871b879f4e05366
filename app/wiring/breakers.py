"""The breakers of a service: in memory that its workers and its operator's commands share."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from ..catalogue.rules import BreakerRules
from ..limits.shared_folder import SharedFolder, folder_of, path_of
from ..upstream.resilience.breaker import Breaker

LOG = logging.getLogger("app.upstream")
FILE = "limits-breaker-"
"""The folder's last process removes what begins with `limits`."""
Breakers = Callable[[str, BreakerRules], Breaker]
"""From a server's name and the rules to its breaker."""


class SharedBreakers:
    """Of one worker, in memory that all workers of the machine share."""

    def __init__(self, shared: SharedFolder) -> None:
        self._shared = shared
        self.by_name: dict[str, Breaker] = {}
        self.on_change: Callable[[Breaker], None] = lambda breaker: None
        """This worker has opened or closed one."""

    def __call__(self, name: str, rules: BreakerRules) -> Breaker:
        breaker = self.by_name[name] = self._open(name, rules)
        breaker.on_change = lambda: self.on_change(breaker)
        return breaker

    def _open(self, name: str, rules: BreakerRules) -> Breaker:
        try:
            self._shared.stay()
            return Breaker(name, rules, self._shared.path / file_name(name))
        except OSError as error:
            LOG.warning("the breaker of server %s is not shared, each worker has its own: %s", name, error.strerror)
            return Breaker(name, rules)


@contextmanager
def shared_breakers(log: Path) -> Iterator[SharedBreakers]:
    """For the workers that write this log. Raises ConfigError."""
    shared = SharedFolder(folder_of(log))
    try:
        yield SharedBreakers(shared)
    finally:
        shared.close()


def own_breaker(name: str, rules: BreakerRules) -> Breaker:
    """Of this process alone."""
    return Breaker(name, rules)


def breaker_files(log: Path) -> list[Path]:
    """Those of the service that writes this log; none while no service runs."""
    return sorted(path_of(log).glob(f"{FILE}*"))


def file_name(server: str) -> str:
    return FILE + hashlib.sha256(server.encode()).hexdigest()[:16]
