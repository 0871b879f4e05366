"""The breakers of a service: in memory that its workers and its operator's commands share."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable
from pathlib import Path

from ..catalogue.rules import BreakerRules
from ..limits.shared_folder import folder_of, path_of
from ..upstream.resilience.breaker import Breaker

LOG = logging.getLogger("app.upstream")
FILE = "limits-breaker-"
"""The folder's last process removes what begins with `limits`."""
Breakers = Callable[[str, BreakerRules], Breaker]
"""From a server's name and the rules to its breaker."""


def shared_breakers(log: Path) -> Breakers:
    """For the workers that write this log. Raises ConfigError."""
    folder = folder_of(log)

    def open_breaker(name: str, rules: BreakerRules) -> Breaker:
        try:
            return Breaker(name, rules, folder / file_name(name))
        except OSError as error:
            LOG.warning("the breaker of server %s is not shared, each worker has its own: %s", name, error.strerror)
            return Breaker(name, rules)

    return open_breaker


def own_breaker(name: str, rules: BreakerRules) -> Breaker:
    """Of this process alone."""
    return Breaker(name, rules)


def breaker_files(log: Path) -> list[Path]:
    """Those of the service that writes this log; none while no service runs."""
    return sorted(path_of(log).glob(f"{FILE}*"))


def file_name(server: str) -> str:
    return FILE + hashlib.sha256(server.encode()).hexdigest()[:16]
