"""What a model's server answered, checked."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens, as the model's server counted them."""

    input_tokens: int
    output_tokens: int

    def members(self) -> dict[str, int]:
        """As JSON has it, in answers and records alike."""
        return {"input_tokens": self.input_tokens, "output_tokens": self.output_tokens}


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
