"""How a streamed answer is read: event by event, with the last one held back for the receipt."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

import orjson

from ...errors import UpstreamError
from ...kit.event_stream import Event
from ...kit.foreign_json import loads
from ...kit.strict_json import verify_depth
from ..bounds import EVENT_PIECES, STEP_BYTES
from ..completion import Completion
from ..error_words import read_words
from ..errors import Reading
from ..turns import verify_pieces
from .content import says_anything

PING = re.compile(rb"\W*(?:ping|keep[-_ ]?alive|heart[-_ ]?beat|done)\W*", re.IGNORECASE)
"""What servers send as the whole data of an event that keeps a line open, or that ends a stream in
a spelling of their own. Other words may be an error message."""


@dataclass(frozen=True, slots=True)
class StreamEnd:
    """What was held back until the answer's record is durable."""

    last: Event
    """The event that takes the receipt."""
    document: Mapping[str, Any]
    """The JSON object in that event."""
    markers: tuple[Event, ...] = ()
    """What follows it, such as `[DONE]`."""


class Piece(NamedTuple):
    """What a batch of events gives the caller now."""

    events: list[Event]
    text: str
    """The answer's text in these events, for an endpoint that shows nothing else."""
    error: UpstreamError | None = None
    """Why reading stopped. The events before the bad one still belong to the caller."""


class StreamReader(Protocol):
    """Reads one stream. Its last event is held back, so that the receipt can go with it."""

    is_over: bool
    """Whether the whole answer was read. What follows is ignored."""
    text: str
    """The answer's text in the events that the last `feed` returned."""
    held_text: str
    """The answer's text in the event that is held back."""

    @property
    def is_heavy(self) -> bool:
        """Whether `completion` or `delivered` would keep others waiting: call them in a thread."""

    def feed(self, event: Event) -> list[Event]:
        """Take one event; return the events that the caller may see now.

        An event that holds neither text, nor an end, nor an error is passed on or skipped. Raises
        UpstreamError, ValueError, TypeError, LookupError or AttributeError for a bad event.
        """

    def end(self) -> None:
        """The server has ended the stream. Raises UpstreamError if the answer is incomplete."""

    def mark_delivered(self) -> None:
        """All events returned so far have reached the caller.

        Raises UpstreamError if that is more than a record is made of; they are noted all the same.
        """

    def completion(self) -> Completion:
        """The whole answer, once it is over."""

    def delivered(self) -> Any:
        """What reached the caller, as a record holds it; None if nothing did."""

    def other(self) -> dict[str, Any] | None:
        """What else reached the caller and says something that the answer does not; maybe None."""

    def held_back(self) -> StreamEnd:
        """The end of the stream, once it is over."""


def document_in(event: Event) -> dict[str, Any] | None:
    """The JSON object in *event*; None if nothing is in it, as servers send to keep a line open.

    Raises ValueError, TypeError or RecursionError for anything else.
    """
    data = event.data
    if len(data) > STEP_BYTES:
        verify_pieces(data, EVENT_PIECES)
    try:
        document = orjson.loads(data)
    except ValueError:
        if not data or data.isspace() or PING.fullmatch(data):
            return None
        document = loads(data, errors="replace")
    if type(document) is not dict:
        if says_anything(document) and not PING.fullmatch(data):
            raise TypeError
        return None
    verify_depth(document, data)
    return document


def verify_no_error(event: Event) -> None:
    """For *event* without the members of its protocol. Raises UpstreamError for an error in a form
    of the server's own."""
    if read_words(event.data).is_error:
        raise UpstreamError


def read_piece(reader: StreamReader, events: list[Event] | None) -> Piece:
    """Feed *events* to *reader*, up to the end of the answer. None: the server ended the stream.

    Raises UpstreamError where the stream ended before the answer did.
    """
    if events is None:
        reader.end()
        return Piece([], "")
    passed_on: list[Event] = []
    text = ""
    try:
        for event in events:
            with Reading(event.data, "unusable event"):
                passed_on += reader.feed(event)
            text += reader.text
            if reader.is_over:
                break
    except UpstreamError as error:
        return Piece(passed_on, text, error)
    return Piece(passed_on, text)
