"""What it took to get one answer: how often it was asked for, and a digest of what came back."""

from __future__ import annotations

import hashlib
from typing import Any


class Attempts:
    """Follows one question while it is sent and answered. Its record is made from this."""

    __slots__ = ("_sha256", "count", "received", "retried", "whole")

    def __init__(self) -> None:
        self.count = 1
        """How often the question was sent, or was about to be."""
        self.retried: str | None = None
        """Why it was sent again."""
        self.whole: bytes | None = None
        """The body, where all of it came and nothing had to be decoded."""
        self.received = 0
        """Bytes of the body, of all answers."""
        self._sha256: Any = None

    def retry(self, reason: str) -> None:
        """Forget the last attempt's answer: the question is sent once more."""
        self.count += 1
        self.retried = reason
        self._sha256 = None

    def begin_answer(self) -> None:
        """The head of an answer has arrived."""
        self._sha256 = hashlib.sha256()

    def add(self, piece: bytes) -> None:
        """A piece of the body has arrived: after transfer coding, before content decoding."""
        self.received += len(piece)
        self._sha256.update(piece)

    def digest(self) -> Any:
        """The SHA-256 of the last answer's body, as far as it came; None if no answer began."""
        return None if self._sha256 is None else self._sha256.copy()

    @property
    def response_sha256(self) -> str | None:
        """In hex, as records hold it."""
        return None if self._sha256 is None else self._sha256.hexdigest()
