"""The table that `make cluster-demo` prints as it goes, and its verdict."""

from __future__ import annotations

import sys
from collections.abc import Callable

WIDTH = 26


class Table:
    def __init__(self) -> None:
        self.failed: list[str] = []

    def row(self, name: str, work: Callable[[], str]) -> None:
        """What *work* says it saw; or that it failed, and the next row goes on."""
        try:
            said = work()
        except Exception as error:  # noqa: BLE001 - a row that fails is the verdict's business, whatever failed in it
            self.fail(name, f"{type(error).__name__}: {str(error)[:300]}")
        else:
            self._print(name, "ok", said)

    def fail(self, name: str, why: str) -> None:
        self.failed.append(name)
        self._print(name, "FAILED", why)

    def _print(self, name: str, verdict: str, said: str) -> None:
        first, *more = said.splitlines() or [""]
        print(f"{name:<{WIDTH}} {verdict:<7} {first}")
        for line in more:
            print(f"{'':<{WIDTH}} {'':<7} {line}")
        sys.stdout.flush()

    def verdict(self, seconds: float) -> int:
        """Printed as the last line; the exit status."""
        if self.failed:
            print(f"\nFAILED after {seconds:.0f} s: {', '.join(self.failed)}")
        else:
            print(f"\nTwo nodes were one service: every row held, in {seconds:.0f} s")
        return 1 if self.failed else 0
