"""One prepared call: the exact body for one server, and what its record says of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from .client import Upstream
from .protocol.endpoint import Endpoint


@dataclass(frozen=True, slots=True)
class PreparedCall:
    """One body for one server, as it will be sent, and what its record says of it before it goes."""

    upstream: Upstream
    endpoint: Endpoint
    model: str
    """The name that callers use."""
    body: bytes
    sha256: str
    asked: Mapping[str, Any]
    """`query`; or `endpoint`, `messages` and `params`."""
    is_stream: bool = False
    wants_usage: bool = False
    """Whether the caller asked for a usage chunk at the end of his stream."""
    wants_text: bool = False
    """Whether an answer without a text is none, as at /ask."""
