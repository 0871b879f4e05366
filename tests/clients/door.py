"""What a client is given, and what comes back: the same in every environment."""

from __future__ import annotations

import hashlib
import os

from pydantic import BaseModel

BASE_URL = os.environ["OPENAI_BASE_URL"]
TOKEN = os.environ["OPENAI_API_KEY"]
MODEL = os.environ["CLIENT_MODEL"]


class Place(BaseModel):
    """What structured answers are asked for."""

    name: str
    inhabitants: int


PLACE = Place(name="text", inhabitants=1)
"""The upstream fills a schema with these."""


def echo(question: str) -> str:
    """What the upstream answers to *question* (`completion_text` of the fake, which needs more than is installed here)."""
    return "echo: " + hashlib.sha256(question.encode()).hexdigest()[:16]


def must_be(got: object, wanted: object) -> None:
    """Like assert, whose message only pytest would write."""
    if got != wanted:
        raise AssertionError(f"got {got!r}, not {wanted!r}")


def must_stream(pieces: list[str], question: str) -> None:
    """The answer to *question* came, and in pieces."""
    must_be("".join(pieces), echo(question))
    if len([piece for piece in pieces if piece]) < 2:
        raise AssertionError("the answer came in one piece: that is no stream")
