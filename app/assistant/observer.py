"""Who is told of each question, beside its records. Nobody, unless the operator wants it."""

from __future__ import annotations

from typing import NamedTuple, Protocol

from ..audit.format.record import Receipt
from ..security.models import Principal
from ..upstream.attempts import Attempts
from ..upstream.call import PreparedCall
from ..upstream.completion import Completion
from .models import Origin, Trace


class Ended(NamedTuple):
    """How a question ended; that is durable."""

    call: PreparedCall
    """The one that was answered, or was tried last."""
    attempts: Attempts
    seconds: float
    first_byte_seconds: float | None
    """Until the answer began; None: none did."""
    completion: Completion | None
    code: str | None = None
    """Of the error; None: it was answered."""


class Watch(Protocol):
    """Of one question. No method may fail, or take long."""

    @property
    def trace(self) -> Trace | None:
        """The trace that its records and its server's requests name; None: the caller's."""

    def recorded(self, action: str, began: float, receipt: Receipt) -> None:
        """The record of *action* is durable, and was begun then (`time.monotonic`).

        Only of `ask.received`, and without the time, unless the observer `wants_all`.
        """

    def ended(self, how: Ended) -> None: ...

    def left(self) -> None:
        """Always the last: also where it never began, or its end could not be recorded.

        Only where the observer `wants_all`.
        """


class Observer(Protocol):
    @property
    def wants_all(self) -> bool:
        """Whether it is told of each record and of each question that is left."""

    def begin(self, call: PreparedCall, origin: Origin, principal: Principal) -> Watch:
        """A question is about to be recorded."""
