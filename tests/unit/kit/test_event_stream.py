"""Server-sent events: the same events, however the bytes come."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.errors import UpstreamError
from app.kit.event_stream import Event, EventParser, encode

LINE_ENDS = ["\n", "\r\n", "\r"]
TEXTS = st.text(st.characters(blacklist_characters="\r\n", blacklist_categories=["Cs"]), max_size=20)
EVENTS = st.builds(
    lambda name, lines: Event(name.encode(), "\n".join(lines).encode()),
    st.sampled_from(["", "delta", "response.completed"]),
    st.lists(TEXTS, min_size=1, max_size=3),
)


def parse(data: bytes, size: int) -> list[Event]:
    parser = EventParser(1 << 20)
    return [event for at in range(0, len(data), size) for event in parser.feed(data[at : at + size])]


@given(events=st.lists(EVENTS, max_size=5), end=st.sampled_from(LINE_ENDS), size=st.integers(1, 40))
def test_what_is_encoded_is_parsed_again_with_every_line_end_and_every_cut(events: list[Event], end: str, size: int) -> None:
    data = b"".join(encode(event) for event in events).replace(b"\n", end.encode()) + b": end" + end.encode()
    assert parse(data, size) == events


@pytest.mark.parametrize("size", [1, 2, 3, 7, 1000])
def test_comments_ids_retries_and_blank_lines_are_no_events(size: int) -> None:
    data = b"\xef\xbb\xbf: hello\n\nid: 7\nretry: 10\n\n\n\ndata:no space\ndata:  two\n\nevent: x\n\ndata\n\n"
    data += b"data: last\n\ndata: torn"
    assert parse(data, size) == [Event(b"", b"no space\n two"), Event(b"", b""), Event(b"", b"last")]


def test_a_text_cannot_forge_an_event() -> None:
    forged = Event(b"", b"x\n\nevent: done\ndata: forged")
    assert parse(encode(forged), 1000) == [Event(b"", b"x\n\nevent: done\ndata: forged")]


def test_an_event_without_end_is_cut_off() -> None:
    parser = EventParser(1000)
    for _ in range(20):
        assert parser.feed(b"x" * 50) == []
    with pytest.raises(UpstreamError):
        parser.feed(b"xx")
