"""Which Accept headers ask for a stream."""

from __future__ import annotations

import pytest

from app.api.routes.ask import wants_events

from ....support.tables import for_each


@pytest.mark.parametrize(
    "accept",
    [
        "text/event-stream",
        "Text/Event-Stream",
        "text/event-stream; charset=utf-8",
        "text/event-stream, application/json",
        "application/json;q=0.9, text/event-stream",
        "text/event-stream;q=0.5, application/json;q=0.5",
        "text/event-stream ; q=0.001",
        "*/*, text/event-stream",
    ],
)
def test_events_are_wanted_where_they_are_named_and_json_is_not_preferred(accept: str) -> None:
    assert wants_events(accept)


@for_each(
    "accept",
    [
        "",
        "*/*",
        "text/*",
        "application/json",
        "text/event-stream;q=0",
        "text/event-stream;q=0.000",
        "text/event-stream;q=0.4, application/json;q=0.5",
        "text/event-stream;q=0.9, application/json",
        "text/event-stream;q=high",
        "text/event-stream;q=0.1234",
        "text/event-streams",
        "text/html",
    ],
)
def test_otherwise_the_answer_is_json(accept: str) -> None:
    assert not wants_events(accept)
