"""What one endpoint of a protocol is: its names, and how its answers are read."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

from ...catalogue.models import ProtocolName
from ..completion import Completion
from .stream_reader import StreamReader


class Endpoint(ABC):
    """One endpoint. Its `path` is both ours (after /v1) and the server's (after its base URL)."""

    name: str
    """As in the catalogue's `endpoints`."""
    path: str
    messages: str
    """The member of the body that holds what is asked."""
    protocol: ProtocolName = "openai"
    token_caps: tuple[str, ...] = ()
    """The parameters that cap the answer's tokens."""
    streams: bool = False
    wants_objects: bool = False
    """Whether what is asked is a list of objects."""
    answers_each: bool = False
    """Whether each text in a list gets an answer of its own."""
    usage_is_asked_for: bool = False
    """Whether a stream reports its usage only to callers that ask for it."""
    keeps_answers: bool = False
    """Whether a later request can name an answer, or a part of it, that the server has kept."""

    @abstractmethod
    def read(self, document: Any, model: str) -> Completion:
        """Read a plain answer. *model* is the name to use if the server gives none.

        Raises ValueError, TypeError, LookupError or AttributeError for a malformed answer.
        """

    def reader(self, model: str, wants_usage: bool) -> StreamReader:
        """A reader for one stream. *wants_usage*: pass the usage chunk on to the caller."""
        raise AssertionError(f"{self.path} does not stream: such a request is refused")
