"""What one endpoint of the OpenAI protocol must tell the road: where its texts stand, and how what comes back is read."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

import orjson

from ...audit.format.record import Receipt
from ...kit.event_stream import Event
from ..completion import Completion, Usage

MAX_MODEL_NAME = 500
MAX_WORD = 100


class StreamReader(Protocol):
    """Reads one stream, event by event. What ends it is held back, until there is a receipt to give with it."""

    is_over: bool
    """Whether the whole answer was read; what comes after it is nobody's."""
    text: str
    """The answer's text in what the last `feed` gave out, for a door that shows text only."""
    held_text: str
    """Likewise in what is held back."""

    def feed(self, event: Event) -> list[Event]:
        """What the caller may see now. Raises UpstreamError, UpstreamUnavailable; ValueError, TypeError, LookupError or
        AttributeError for what is no such event."""

    def end(self) -> None:
        """The server has ended the stream. Raises UpstreamError where the answer is not whole."""

    def mark(self) -> None:
        """What was given out so far has reached the caller."""

    def completion(self) -> Completion:
        """The whole answer, once it is over."""

    def delivered(self) -> Any:
        """The part of the answer before the last mark, as a record holds it; None if there is none."""

    def last_events(self, receipt: Receipt) -> list[Event]:
        """What was held back, with the receipt in its last JSON document, and the end marker."""


class Endpoint(Protocol):
    """One endpoint. Its `path` is both ours (after /v1) and the server's (after its base URL)."""

    name: str
    """As in the catalogue's `endpoints`."""
    path: str
    messages: str
    """The member that holds what is asked."""
    token_caps: tuple[str, ...]
    """The members that cap the answer's tokens."""
    streams: bool
    wants_objects: bool
    """Whether what is asked is a list of objects, and there may be several choices."""
    usage_is_asked_for: bool
    """Whether a stream says what it used only to who asks."""
    beyond_the_record: frozenset[str]
    """Parameters with which the server would use, or do later, what no record of this service holds."""

    def read(self, document: Any, model: str) -> Completion:
        """A plain answer. *model*: its name if the server has none. Raises ValueError, TypeError, LookupError, AttributeError."""

    def reader(self, model: str, wants_usage: bool) -> StreamReader: ...


def model_name(document: Mapping[str, Any], model: str) -> str:
    """What the server calls itself; *model* if it does not, or names a file of its machine, as llama.cpp may."""
    named = document.get("model") or model
    if not isinstance(named, str) or len(named) > MAX_MODEL_NAME:
        raise TypeError
    return model if named.startswith(("/", ".", "~")) or "\\" in named or named.endswith(".gguf") else named


def with_safe_name(document: dict[str, Any], model: str) -> bool:
    """Replace a file's name in *document* by *model*; whether there was one."""
    if document.get("model") and document["model"] != (name := model_name(document, model)):
        document["model"] = name
        return True
    return False


def finish_reason(value: Any) -> str | None:
    """Raises TypeError for what is no word."""
    if not isinstance(value, str | None) or len(value or "") > MAX_WORD:
        raise TypeError
    return value


def one_or_all(values: list[Any]) -> Any:
    return values[0] if len(values) == 1 else values


def read_usage(counted: Any, input_name: str, output_name: str | None) -> Usage | None:
    """None where the server did not count. Raises TypeError for what is no count."""
    if counted is None or counted.get(input_name) is None or (output_name and counted.get(output_name) is None):
        return None
    tokens = counted[input_name], counted[output_name] if output_name else 0
    if any(type(count) is not int or count < 0 for count in tokens):
        raise TypeError
    return Usage(*tokens)


def with_receipt(raw: bytes, document: Mapping[str, Any], receipt: Receipt) -> bytes:
    """*raw*, the bytes of *document*, with one more member; unchanged but for that."""
    member = b'"receipt":{"seq":%d,"hash":"%b"}' % (receipt.seq, receipt.hash.encode())
    if "receipt" in document:  # one of our kind is upstream: its receipt is not ours
        return orjson.dumps({**document, "receipt": {"seq": receipt.seq, "hash": receipt.hash}})
    body = raw.rstrip()
    return b"%b%b%b}" % (body[:-1], b"," if document else b"", member)
