"""What travels when a question is asked: frozen, without behaviour."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ..audit.format.record import Receipt
from ..security.asserted_user import AssertedUser
from ..upstream.answer_memory import AnswerMemory
from ..upstream.completion import Usage


class TerminalRecord:
    """The one place that knows whether the log holds the record that ends a request.

    The code that writes this record sets `is_written`: the exchange for `ask.failed`, app.api for
    a refusal.
    """

    __slots__ = ("is_written",)

    def __init__(self) -> None:
        self.is_written = False


@dataclass(frozen=True, slots=True)
class Origin:
    """The request that a question came with."""

    request_id: str
    address: str | None = None
    client_request_id: str | None = None
    terminal_record: TerminalRecord = field(default_factory=TerminalRecord, compare=False)
    asserted_user: AssertedUser | None = None
    """The user that a front end names."""
    claimed_user: AssertedUser | None = None
    """The user that any other caller names."""
    memory: AnswerMemory = field(default_factory=AnswerMemory, compare=False)
    """What its answer takes, until it is delivered."""


@dataclass(frozen=True, slots=True)
class Question:
    """*query* is checked: 1 to 2,000 code points, no U+0000, no lone surrogate."""

    query: str
    origin: Origin


@dataclass(frozen=True, slots=True)
class Answer:
    """The answer at /ask. *usage* is None where the model's server did not count tokens.

    *stopped_by*: as in Completion.
    """

    answer: str
    model: str
    usage: Usage | None
    request_id: str
    receipt: Receipt
    stopped_by: str | None = None


@dataclass(frozen=True, slots=True)
class Document:
    """A plain answer at /v1: the server's bytes *raw*, the *members* in them, and the receipt."""

    raw: bytes
    members: Mapping[str, Any]
    receipt: Receipt
