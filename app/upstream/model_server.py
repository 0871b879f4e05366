"""What asks a model: one server, whichever protocol it speaks. client.py has the usual one."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Protocol

from ..kit.event_stream import Event
from .answer_memory import AnswerMemory
from .attempts import Attempts
from .completion import Reply
from .fair_slots import FairSlots
from .protocol.endpoint import Endpoint
from .resilience.breaker import Breaker
from .turns import Turns

NO_HEADERS: Mapping[str, str] = MappingProxyType({})


class AnswerEvents(Protocol):
    """An answer that arrives as events. A `read` that is cancelled loses nothing."""

    @property
    def is_behind(self) -> bool:
        """Whether more has arrived than `read` has given."""

    async def begin(self) -> list[Event]:
        """The first events, at least one. The next `read` gives them again.

        Raises as `ModelServer.complete`, also where the stream ends without one.
        """

    async def read(self) -> list[Event] | None:
        """The events that have arrived, at least a piece of one or a comment; None at the end.

        Raises as `ModelServer.complete`.
        """

    def kept_bytes(self, is_whole: bool) -> int:
        """About how much who reads it has to keep: what is said, or all of it."""

    def close(self) -> None:
        """End the call at once."""

    def finish(self) -> None:
        """The answer was read."""


class ModelServer(Protocol):
    """One server. There is no timeout in here: callers set one around the whole call."""

    name: str
    address: str
    params: frozenset[str] | None
    """The only parameters that may be sent; None allows any."""
    stream_usage: bool
    """Whether `stream_options.include_usage` may be sent."""
    token_param: str | None
    """The only name of the cap on tokens that it honours; None: it takes the caller's."""
    retries_idle_close: bool
    """Whether to ask once more where an idle connection was closed as a question was sent."""
    breaker: Breaker
    slots: FairSlots
    turns: Turns

    def serves(self, endpoint: Endpoint) -> bool:
        """False if it is known not to serve *endpoint*."""

    def verify(self, members: Mapping[str, Any], model: str) -> None:
        """Raises InvalidParameter for what is asked and cannot be handed over.

        *model*: its name at the server.
        """

    def digests(self, body: bytes) -> dict[str, str | None]:
        """What records hold of *body*: `upstream_sha256`, and how else it is sent, if it is."""

    async def complete(
        self,
        endpoint: Endpoint,
        body: bytes,
        model: str,
        *,
        wants_text: bool = False,
        attempts: Attempts | None = None,
        headers: Mapping[str, str] = NO_HEADERS,
        memory: AnswerMemory | None = None,
        is_fresh: bool = False,
    ) -> Reply:
        """Send exactly *body*, and read the whole answer. *model* names it if the server does not.

        A large one is read once there is *memory* for it (Overloaded, Interrupted). *is_fresh*: by
        a new connection.

        Any 2xx status will do. *attempts* follows what is sent and received, also where this
        raises: UpstreamUnavailable (with retry_after) if the server cannot be reached, closes the
        connection early, or answers 408, 425, 429 or 5xx; UpstreamRefused for a request that it
        does not take; UpstreamDenied, UpstreamOutOfQuota; UpstreamError for an answer that cannot
        be used. The server may have generated an answer in any of these cases.
        """

    async def open_stream(
        self,
        endpoint: Endpoint,
        body: bytes,
        attempts: Attempts | None = None,
        headers: Mapping[str, str] = NO_HEADERS,
        *,
        is_fresh: bool = False,
    ) -> AnswerEvents:
        """Send a body that asks for server-sent events; returns once the answer has begun.

        Raises as `complete`. The result must be closed or finished.
        """

    async def aclose(self) -> None: ...
