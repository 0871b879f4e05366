"""What a model's server answered, once it is checked."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import orjson


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens, as the model's server counted them."""

    input_tokens: int
    output_tokens: int
    further: tuple[int, int] = (0, 0)
    """Input and output that the server bills, and counts beside the two above."""
    cached: int = 0
    """Of all input: read from the server's cache; *written*: to it."""
    written: int = 0
    reasoning: int = 0
    """Of all output: what the caller does not see."""

    def members(self) -> dict[str, int]:
        """The JSON object that answers and records hold."""
        return {"input_tokens": self.input_tokens, "output_tokens": self.output_tokens}


@dataclass(frozen=True, slots=True)
class Completion:
    """What the model said. *usage* is None where the server did not count tokens."""

    text: str | None
    """An empty text is a valid answer; None means that the answer holds no text."""
    model: str
    usage: Usage | None
    answer: Any = None
    """As the record holds it: the text, or a message with its tool calls, or several."""
    finish: Any = None
    """Why the answer ended, in the server's words; a list where there are several choices."""
    other: dict[str, Any] | None = None
    """Texts that stand elsewhere in what the server sent, by the names of their members."""
    response_id: str | None = None
    """The server's name for a response that may be continued."""

    @property
    def stopped_by(self) -> str | None:
        """The server's word for what ended the answer before its own end, such as `length`."""
        return self.finish if isinstance(self.finish, str) and self.finish != "stop" else None


@dataclass(frozen=True, slots=True)
class Reply:
    """A whole answer: its bytes for the caller, the JSON document in them, and what it says."""

    raw: bytes
    document: Any
    completion: Completion


def verify_usable(completion: Completion, *, wants_text: bool) -> Completion:
    """Return *completion* if a record can hold it. Raises TypeError.

    *wants_text*: an answer without text is refused.
    """
    if wants_text and completion.text is None:
        raise TypeError
    if not isinstance(completion.answer, str | None):
        orjson.dumps({"details": {"answer": completion.answer}})  # raises if nested too deeply
    return completion
