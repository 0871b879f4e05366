"""What every client program gets and expects, whatever its environment has installed."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

from pydantic import BaseModel

BASE_URL = os.environ["OPENAI_BASE_URL"]
TOKEN = os.environ["OPENAI_API_KEY"]
MODEL = os.environ["CLIENT_MODEL"]
TASK, SAYS = os.environ.get("CLIENT_TASK", ""), os.environ.get("CLIENT_SAYS", "")
"""An agent's: what it is to do with the tool `reverse`, and what the upstream says in the end."""


class Place(BaseModel):
    """The schema of structured answers."""

    name: str
    inhabitants: int


PLACE = Place(name="text", inhabitants=1)
"""The values that the fake upstream puts into the schema."""


def echo(question: str) -> str:
    """The fake upstream's answer to *question*, as its `completion_text`, which cannot be imported here."""
    return "echo: " + hashlib.sha256(question.encode()).hexdigest()[:16]


def must_be(got: object, wanted: object) -> None:
    """An assert with a message, since pytest does not run here."""
    if got != wanted:
        raise AssertionError(f"got {got!r}, not {wanted!r}")


def must_stream(pieces: list[str], question: str) -> None:
    """Check that the answer to *question* arrived in several pieces."""
    must_arrive(pieces, echo(question))


def must_arrive(pieces: list[str], text: str) -> None:
    """Check that *text* arrived in several pieces."""
    must_be("".join(pieces), text)
    if len([piece for piece in pieces if piece]) < 2:
        raise AssertionError("the answer arrived in one piece, not as a stream")


def reverse(text: str) -> str:
    """Turn a text around."""
    if gate := os.environ.get("CLIENT_GATE"):
        Path(gate).read_bytes()
    return text[::-1]
