"""What the parent gives to all of its workers."""

from __future__ import annotations

import socket
from dataclasses import dataclass

from ..api.scoreboard import Scoreboard
from ..upstream.embedded import EmbeddedAddress
from .shared_policy import SharedPolicy


@dataclass(frozen=True, slots=True)
class SharedParts:
    """Made before the fork; a worker that is started again gets the same."""

    settings: bytes
    """Of `ServicePlan.settings`."""
    policy: SharedPolicy
    embedded: EmbeddedAddress | None
    listener: socket.socket
    scoreboard: Scoreboard
