"""What travels between the rooms when a question is asked: frozen, without behaviour."""

from __future__ import annotations

from dataclasses import dataclass

from ..security.audit.entry import Receipt


@dataclass(frozen=True, slots=True)
class Question:
    """*query* was checked at the door: 1 to 2,000 code points, no U+0000, no lone surrogate."""

    query: str
    request_id: str
    address: str | None = None
    client_request_id: str | None = None


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens, as the model's server counted them."""

    input_tokens: int
    output_tokens: int


@dataclass(frozen=True, slots=True)
class Answer:
    """*usage* is None where the model's server did not count."""

    answer: str
    model: str
    usage: Usage | None
    request_id: str
    receipt: Receipt


@dataclass(frozen=True, slots=True)
class PreparedCall:
    """The exact body that goes upstream, and its SHA-256 in hex, so that the record can name it before it is sent."""

    body: bytes
    sha256: str


@dataclass(frozen=True, slots=True)
class Completion:
    """What the model's server said, checked. An empty *text* is a legal answer."""

    text: str
    model: str
    usage: Usage | None


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where the embedded model of this machine listens. *max_waiting* bounds the askers of one worker."""

    base_url: str
    api_key: str
    model: str
    max_waiting: int
