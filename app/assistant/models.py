"""What travels when a question is asked: frozen, without behaviour."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from ..audit.format.record import Receipt
from ..limits.budgets.budgets import BudgetNote
from ..security.asserted_user import AssertedUser
from ..upstream.answer_memory import AnswerMemory
from ..upstream.call import PreparedCall
from ..upstream.completion import Reply, Usage
from .token_use import TokenUse


class Trace(NamedTuple):
    """A W3C trace context: what is asked of a model's server belongs to it."""

    trace_id: str
    """32 lower-case hexadecimal digits."""
    span_id: str
    """16 of them: what calls."""
    flags: str = "00"
    state: str = ""
    """`tracestate`, as it came."""

    @property
    def headers(self) -> dict[str, str]:
        """What a model's server gets. Version 00 is what every later one understands."""
        parent = {"traceparent": f"00-{self.trace_id}-{self.span_id}-{self.flags}"}
        return parent | {"tracestate": self.state} if self.state else parent


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
    timeout_seconds: float | None = None
    """How long the caller waits, if they say so."""
    tokens: TokenUse = field(default_factory=TokenUse, compare=False)
    """What it takes of the rates in tokens."""
    budgets: BudgetNote = field(default_factory=BudgetNote, compare=False)
    """What is left of the principal's own budgets."""
    trace: Trace | None = None
    """Of the caller, or ours."""
    memory: AnswerMemory = field(default_factory=AnswerMemory, compare=False)
    """What its answer takes, until it is delivered."""


@dataclass(frozen=True, slots=True)
class Question:
    """*query* is checked: 1 to 2,000 code points, no U+0000, no lone surrogate."""

    query: str
    origin: Origin


class Served(NamedTuple):
    """What it took to get an answer."""

    attempts: int = 1
    """How often the question was sent."""
    model: str | None = None
    """The model that answered, if it is not the one that was asked."""


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
    served: Served = Served()


@dataclass(frozen=True, slots=True)
class Document:
    """A plain answer at /v1, and its receipt."""

    reply: Reply
    receipt: Receipt
    call: PreparedCall
    """The one that was answered."""
    served: Served

    @property
    def raw(self) -> bytes:
        """The server's bytes."""
        return self.reply.raw

    @property
    def members(self) -> Mapping[str, Any]:
        """What is in them."""
        members: Mapping[str, Any] = self.reply.document
        return members
