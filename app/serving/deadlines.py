"""How long one connection may wait in each phase. It is looked at once a second."""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum, auto
from typing import Protocol

from ..limits.bounds import Bounds

STOP_SECONDS = 1.0
"""At a stop: after so long without progress, a proven body or an unread answer is cut."""
STOP_UNPROVEN_SECONDS = 0.15
"""The same for a head, and for the body of a caller who has proven nothing."""
LINGER_SECONDS = 1.0
"""After a refusal, so that the caller can read it."""


class Phase(Enum):
    NEW = auto()  # before the first request
    IDLE = auto()  # between two requests
    HEAD = auto()
    BODY = auto()
    ANSWER = auto()  # the request is whole
    OVER = auto()  # refused: what still comes is ignored


class Provable(Protocol):
    @property
    def is_proven(self) -> bool:
        """Whether a credential of the caller was verified."""


class Waiting:
    """What one connection waits for, and since when."""

    __slots__ = ("_now", "body_bytes", "last_byte", "last_read", "phase", "since", "unread")

    def __init__(self, now: Callable[[], float]) -> None:
        """*now*: the event loop's time."""
        self._now, self.phase = now, Phase.NEW
        self.since = self.last_byte = self.last_read = now()
        """*last_byte*: when the caller last sent something; *last_read*: read of an answer."""
        self.body_bytes = 0
        self.unread = 0
        """Bytes of answers that the caller had not read at the last look."""

    def hear(self) -> float:
        """The caller has sent something: now."""
        self.last_byte = self._now()
        return self.last_byte

    def enter(self, phase: Phase) -> None:
        self.phase, self.since = phase, self._now()

    def is_unread(self, now: float, unread: int, bounds: Bounds, is_stopping: bool) -> bool:
        """Whether the caller has read nothing of the *unread* bytes for too long."""
        if unread < self.unread or not unread:
            self.last_read = now
        self.unread = unread
        return now - self.last_read > (STOP_SECONDS if is_stopping else bounds.unread_seconds)

    def is_overdue(self, now: float, bounds: Bounds, request: Provable | None, is_stopping: bool) -> bool:
        """Whether the phase has lasted too long. *request*: whose body comes."""
        waited, silent = now - self.since, now - self.last_byte
        match self.phase:
            case Phase.NEW:
                return waited > bounds.first_byte_seconds
            case Phase.IDLE:
                return waited > bounds.idle_seconds
            case Phase.HEAD:
                return waited > bounds.head_seconds or (is_stopping and silent > STOP_UNPROVEN_SECONDS)
            case Phase.BODY if request is not None and request.is_proven:
                if is_stopping and silent > STOP_SECONDS:
                    return True
                is_slow = waited > bounds.body_seconds and self.body_bytes < bounds.least_body_rate * waited
                return is_slow or waited > bounds.proven_body_seconds
            case Phase.BODY:
                return waited > bounds.body_seconds or (is_stopping and silent > STOP_UNPROVEN_SECONDS)
            case Phase.OVER:
                return waited > (STOP_UNPROVEN_SECONDS if is_stopping else LINGER_SECONDS)
        return False
