"""What it took to get one answer: each try, and a digest of what came back."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Mapping
from typing import Any

REFUSING = frozenset({503, 529})
"""Of the statuses from 500 on those that say that nothing was begun. The others may come late."""
SLOW = "slow"
"""Why a question is sent again while its server still works on it."""


class Try:
    """One time that a question was sent, or was about to be."""

    __slots__ = (
        "answer_sha256",
        "began",
        "is_bad",
        "is_hedge",
        "is_over",
        "is_race",
        "is_sent",
        "is_skipped",
        "ms",
        "received",
        "retry_after",
        "server",
        "sha256",
        "status",
        "whole",
        "why",
    )

    def __init__(self, server: str = "", sha256: str | None = None) -> None:
        self.server, self.sha256 = server, sha256
        """*sha256*: of the body that is sent, in hex; None: it is not known."""
        self.is_sent = self.is_skipped = self.is_race = self.is_over = self.is_bad = self.is_hedge = False
        """*is_skipped*: not sent, because its server's breaker is open. *is_race*: it met the end
        of an idle connection of a server that is well. *is_bad*: the breaker knows of it.
        *is_hedge*: the one before was slow, and went on."""
        self.status: int | None = None
        self.retry_after = ""
        """The server's header."""
        self.why: str | None = None
        """What went wrong, in one word; None: nothing did."""
        self.began, self.ms = time.monotonic(), 0
        self.answer_sha256: Any = None
        """Of the body of its answer, as far as it came; None: no answer began."""
        self.received = 0
        """Bytes of that body."""
        self.whole: bytes | None = None
        """The body, where all of it came and nothing had to be decoded."""

    def end(self, why: str | None) -> None:
        """*why*: unless a more exact word is known already."""
        self.is_over = True
        self.ms = round(1000 * (time.monotonic() - self.began))
        self.why = self.why or why if why else None

    @property
    def is_free(self) -> bool:
        """Whether the server cannot have generated anything: it was not reached, or it refused."""
        status = self.status
        return not self.is_sent or (status is not None and not 200 <= status < 300 and (status < 500 or status in REFUSING))

    def members(self) -> dict[str, Any]:
        """The JSON object that records hold."""
        return {
            "server": self.server,
            "status": self.status,
            "ms": self.ms,
            "why": self.why,
            "upstream_sha256": self.sha256,
        }


class Attempts:
    """Follows one question while it is sent and answered. Its record is made from this."""

    __slots__ = ("headers", "now", "tries")

    def __init__(self, headers: Mapping[str, str] | None = None) -> None:
        """*headers*: what every try sends besides, of its trace."""
        self.headers = headers
        self.now = Try()
        """The present one, or the one that was answered."""
        self.tries: list[Try] = []

    def begin(self, server: str, sha256: str | None) -> Try:
        """The question is about to be sent."""
        self.now = now = Try(server, sha256)
        self.tries.append(now)
        return now

    def beside(self) -> Attempts:
        """The same for a try that is made while the present one goes on."""
        other = _Beside(self.headers)
        other.tries = self.tries
        return other

    def has_failed_at(self, server: str) -> bool:
        """Whether its breaker has heard of this question."""
        return any(one.is_bad and one.server == server for one in self.tries)

    def fail(self, why: str) -> None:
        """No answer came of it all; *why*: unless a try knows better."""
        for one in (self.now, *self.tries):
            if one.why is None and (one is self.now or not one.is_over):
                one.end(why)

    def members(self, *, are_told: bool) -> dict[str, Any]:
        """As records hold them. *are_told*: also where there is only one try."""
        tells = self.tries and (are_told or len(self.tries) > 1)
        return {
            "attempts": self.count,
            **({"retried": self.retried} if self.retried else {}),
            **({"tries": [one.members() for one in self.tries]} if tells else {}),
        }

    @property
    def count(self) -> int:
        """How often the question was sent, or was about to be."""
        return sum(not one.is_skipped for one in self.tries) if self.tries else 1

    @property
    def retried(self) -> str | None:
        """Why it was sent again."""
        if len(self.tries) < 2:
            return None
        return SLOW if self.tries[-1].is_hedge else self.tries[-2].why

    def begin_answer(self, status: int) -> None:
        """The head of an answer has arrived."""
        self.now.status = status
        self.now.answer_sha256 = hashlib.sha256()

    def add(self, piece: bytes) -> None:
        """A piece of the body has arrived: after transfer coding, before content decoding."""
        now = self.now
        now.received += len(piece)
        now.answer_sha256.update(piece)

    def digest(self) -> Any:
        """The SHA-256 of the answer's body, as far as it came; None if no answer began."""
        sha256 = self.now.answer_sha256
        return None if sha256 is None else sha256.copy()

    @property
    def response_sha256(self) -> str | None:
        """In hex, as records hold it."""
        sha256 = self.now.answer_sha256
        return None if sha256 is None else str(sha256.hexdigest())


class _Beside(Attempts):
    __slots__ = ()

    def begin(self, server: str, sha256: str | None) -> Try:
        now = super().begin(server, sha256)
        now.is_hedge = True
        return now
