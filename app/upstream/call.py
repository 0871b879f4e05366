"""One prepared call: the exact body for one server, and what its record says of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from ..catalogue.caps import TokenRate
from ..catalogue.claims import Claim
from ..catalogue.rules import RetryRules
from .model_server import ModelServer
from .protocol.endpoint import Endpoint


@dataclass(frozen=True, slots=True)
class Clamped:
    """A caller asked for more tokens than the ceiling, and got the ceiling."""

    name: str
    """The parameter, as it is sent."""
    asked: int
    sent: int


@dataclass(frozen=True, slots=True)
class PreparedCall:
    """*body* is given to *upstream* byte for byte, after the record with its digest is durable."""

    upstream: ModelServer
    endpoint: Endpoint
    model: str
    """Its name in the catalogue."""
    body: bytes
    digests: Mapping[str, str | None]
    """What records hold of the body: `upstream_sha256`, and how else it is sent."""
    asked: Mapping[str, Any]
    """What the record holds of it: `query`; or `endpoint`, `messages`, `params` (and `headers`)."""
    timeout_seconds: float
    """For a whole plain answer, and for the silence of a stream."""
    stream_timeout_seconds: float
    is_stream: bool = False
    wants_usage: bool = False
    """Whether the caller asked for a usage chunk at the end of their stream."""
    wants_text: bool = False
    """Whether an answer without text is an error, as at /ask."""
    headers: Mapping[str, str] = field(default_factory=dict)
    """The headers of the protocol that go to the server, too."""
    asked_model: str | None = None
    """The alias that the caller used, if they used one."""
    clamped: Clamped | None = None
    may_continue: bool = False
    """Whether the operator lets callers continue a response that the server keeps."""
    previous_response_id: str | None = None
    """The response that the caller continues."""
    policy: str = ""
    """The first digits of the SHA-256 of the policy file that the question began with."""
    token_rates: tuple[TokenRate, ...] = ()
    own_seconds: float | None = None
    """For all tries at this model, where others may answer in the rest of the time."""
    hedge_after_seconds: float | None = None
    """After which one of `others` is asked, too; None: never."""
    retries: RetryRules = RetryRules()
    others: tuple[Callable[[], PreparedCall], ...] = ()
    """The same for other servers of the model, in order. They raise as it is prepared."""
    fallbacks: tuple[Callable[[], PreparedCall], ...] = ()
    """The same for other models."""
    claim: Claim | None = None
    """What it may take of the budgets; None: none applies."""

    @property
    def sha256(self) -> str | None:
        """Of the body, in hex. None: an SDK makes the bytes that are sent."""
        return self.digests["upstream_sha256"]
