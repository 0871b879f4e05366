"""What travels between the rooms when a question is asked: frozen, without behaviour."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ..security.audit.entry import Receipt

if TYPE_CHECKING:
    from .protocol.dialect import Dialect
    from .upstream import Upstream


@dataclass(frozen=True, slots=True)
class Origin:
    """Which request a question came with."""

    request_id: str
    address: str | None = None
    client_request_id: str | None = None


@dataclass(frozen=True, slots=True)
class Question:
    """*query* was checked at the door: 1 to 2,000 code points, no U+0000, no lone surrogate."""

    query: str
    origin: Origin


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens, as the model's server counted them."""

    input_tokens: int
    output_tokens: int

    def members(self) -> dict[str, int]:
        """As JSON has it, in answers and records alike."""
        return {"input_tokens": self.input_tokens, "output_tokens": self.output_tokens}


@dataclass(frozen=True, slots=True)
class Answer:
    """*usage* is None where the model's server did not count."""

    answer: str
    model: str
    usage: Usage | None
    request_id: str
    receipt: Receipt


@dataclass(frozen=True, slots=True)
class Call:
    """One body for one server, as it will be sent, and what its record says of it before it goes."""

    upstream: Upstream
    dialect: Dialect
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


@dataclass(frozen=True, slots=True)
class Completion:
    """What the model's server said, checked. An empty *text* is a legal answer; None is no text at all."""

    text: str | None
    model: str
    usage: Usage | None
    answer: Any = None
    """As the record holds it: the text, or a message with its tool calls, or several."""
    finish: Any = None
    """Why it ended, in the server's word; a list where there are several choices."""


@dataclass(frozen=True, slots=True)
class Document:
    """A plain answer at a /v1 door: *raw* as the server sent it, the *members* that it holds, and the receipt of its record."""

    raw: bytes
    members: Mapping[str, Any]
    receipt: Receipt


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where the embedded model of this machine listens. *max_waiting* bounds the askers of one worker."""

    base_url: str
    api_key: str = field(repr=False)
    model: str
    max_waiting: int
