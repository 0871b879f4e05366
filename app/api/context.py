"""What one request carries through app.api, and what the application holds for all requests."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from fastapi import Request

from ..assistant.models import Origin
from ..limits.held_bytes import HeldBytes, Hold
from ..limits.limits import Limits
from ..limits.quota import Quota
from ..security.refusals import RefusalRecorder
from ..wiring.services import Services
from .error_bodies import ErrorStyle
from .scoreboard import Scoreboard, Slot

MAX_ADDRESS = 64


@dataclass(frozen=True, slots=True)
class AppContext:
    """Everything that a route may use; made once by the lifespan, as `app.state.context`."""

    services: Services
    limits: Limits
    refusals: RefusalRecorder
    scoreboard: Scoreboard
    slot: Slot
    """This worker's part of the scoreboard."""
    held: HeldBytes
    """What the bodies of requests take of this worker's memory."""


class RequestContext(NamedTuple):
    """The state of one request. RequestMiddleware makes it; `change_context` replaces it."""

    origin: Origin
    user_id: str | None = None
    """Of the proven principal or client."""
    credential: str | None = None
    """What proved the principal, as records name it."""
    quota: Quota | None = None
    """The principal's bucket after this request; the response's headers show it."""
    is_body_read: bool = False
    """Whether the whole body was read."""


def app_context(request: Request) -> AppContext:
    context: AppContext = request.app.state.context
    return context


def hold_of(request: Request) -> Hold:
    """Counts the body of *request* for the principal known so far. RequestMiddleware ends it."""
    hold = Hold(app_context(request).held, request_context(request).user_id)
    request["state"]["hold"] = hold
    return hold


def request_context(request: Mapping[str, Any]) -> RequestContext:
    """*request* is a Request or its ASGI scope; both are mappings with the same keys."""
    context: RequestContext = request["state"]["context"]
    return context


def change_context(request: Request, **changes: Any) -> None:
    """Replace the context by one with other members."""
    state = request["state"]
    state["context"] = state["context"]._replace(**changes)


def address_of(scope: Mapping[str, Any]) -> str:
    """The peer's address, which uvicorn has replaced by the one that a listed proxy names."""
    client = scope.get("client")
    return client[0][:MAX_ADDRESS] if client else "unknown"


def media_type_of(request: Request) -> str:
    """Content-Type in lower case, without its parameters."""
    return request.headers.get("content-type", "").partition(";")[0].strip().lower()


def declared_bytes(request: Request) -> int | None:
    """Content-Length, 0 if there is none. None: it is no number."""
    length = request.headers.get("content-length", "0")
    return int(length[:20]) if length.isdecimal() else None


def error_style_of(request: Mapping[str, Any]) -> ErrorStyle:
    """Which error body *request* gets: its path says so, for models Anthropic's own header."""
    path = request["path"]
    if path.startswith("/v1/"):
        is_models = path == "/v1/models" or path.startswith("/v1/models/")
        is_anthropic = path == "/v1/messages" or path.startswith("/v1/messages/") or (is_models and _is_anthropics(request))
        return "anthropic" if is_anthropic else "openai"
    return "oauth" if path == "/token" or path.startswith("/token/") else "problem"


def _is_anthropics(request: Mapping[str, Any]) -> bool:
    """Whether a client of Anthropic's protocol sends it: that protocol requires the header."""
    return any(name == b"anthropic-version" for name, _ in request["headers"])
