"""A client with an API key in mid-run: while its tool runs, the service restarts; while it runs again, the key is revoked.

The tool reads a pipe, the gate, and so waits until this process has opened and closed it.
"""

from __future__ import annotations

import errno
import os
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from app.security.api_keys.form import KeyRefused

from ..support.calls import bearer
from ..support.service import HTTP, Service
from ..support.waiting import eventually
from .records import time_of

MODELS = "/v1/models"
"""Where this process asks whether the key is refused."""


def restart(service: Service) -> None:
    service.stop()
    service.start()


def revoke(service: Service, key: Mapping[str, Any]) -> None:
    """Return once *key*, as `clients add --key --json` prints it, is refused."""
    service.cli("keys", "revoke", key["key_id"])
    url, headers = service.url + MODELS, bearer(key["key"])
    eventually(lambda: HTTP.get(url, headers=headers).status_code == 401, "the key was not refused")


@dataclass
class MidRun:
    service: Service
    key: Mapping[str, Any]
    gate: Path
    passed: int = field(default=0, init=False)

    def __post_init__(self) -> None:
        os.mkfifo(self.gate)

    def look(self) -> None:
        """To be called again and again: if a tool waits, do the next thing and let it go on."""
        if (writer := self._open()) is None:
            return
        self.passed += 1
        if self.passed == 1:
            restart(self.service)
        elif self.passed == 2:
            revoke(self.service, self.key)
        os.close(writer)
        while (writer := self._open()) is not None:  # until that tool has seen the end
            os.close(writer)
            time.sleep(0.01)

    def _open(self) -> int | None:
        """A descriptor, if somebody reads."""
        try:
            return os.open(self.gate, os.O_WRONLY | os.O_NONBLOCK)
        except OSError as error:
            if error.errno != errno.ENXIO:
                raise
            return None

    def problem(self, said: str) -> str | None:
        """What is wrong after a client that printed *said*."""
        refused = [one["details"] for one in self._records("request.refused")]
        if self.passed != 2 or not any(one["route"] != MODELS for one in refused):
            return f"its tool ran {self.passed} times, and it was not refused afterwards"
        if any((one["status"], one["reason"]) != (401, "revoked") for one in refused):
            return "it was refused for another reason"
        return None if KeyRefused.detail in " ".join(said.split()) else f"it does not say: {KeyRefused.detail}"

    def seconds(self) -> float:
        """From the record of the revocation to the first refusal."""
        first, then = self._records("key.revoked")[0], self._records("request.refused")[0]
        return time_of(then) - time_of(first)

    def _records(self, action: str) -> list[dict[str, Any]]:
        records = self.service.records()
        return [one for one in records if one["action"] == action and one["details"].get("key_id") == self.key["key_id"]]
