"""What a request carries through the HTTP floor, and what the application holds for it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from fastapi import Request

from ..limits.rate_limits import Buckets
from ..security.refusals import RefusalRecorder
from ..wiring.services import Services
from .scoreboard import Scoreboard, Slot


@dataclass(frozen=True, slots=True)
class AppContext:
    """Everything that a route may use; made once by the lifespan, as `app.state.door`."""

    services: Services
    buckets: Buckets
    refusals: RefusalRecorder
    scoreboard: Scoreboard
    slot: Slot
    """This worker's part of the board."""


def address_of(request: Request) -> str:
    """The peer's address: the client's own, or what a listed proxy says (uvicorn's middleware has replaced it then)."""
    client = request.client
    return client.host[:64] if client else "unknown"


def error_style_of(request: Request) -> Literal["oauth", "openai", "problem"]:
    """Which error body this path speaks (design, section 3)."""
    path = request.scope["path"]
    if path.startswith("/v1/"):
        return "openai"
    return "oauth" if path == "/token" or path.startswith("/token/") else "problem"
