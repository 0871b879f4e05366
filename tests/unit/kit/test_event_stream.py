"""Server-sent events: the same events, however the bytes come."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.errors import UpstreamError
from app.kit.event_stream import MAX_LINES, Event, EventParser, encode

from ...support.whatwg_events import differences

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


@pytest.mark.parametrize("seed", range(4))
def test_random_streams_are_read_as_the_standards_text_says(seed: int) -> None:
    """The long run: `python -m tests.support.whatwg_events`."""
    assert differences(1000, seed) == []


@pytest.mark.parametrize("line_end", LINE_ENDS)
def test_an_event_leaves_with_the_last_byte_of_its_blank_line(line_end: str) -> None:
    parser = EventParser(1000)
    assert parser.feed(f"data: x{line_end}{line_end}".encode()) == [Event(b"", b"x")]
    assert parser.feed(b"\ndata: y\n") == []
    assert parser.end() == [Event(b"", b"y")]
    assert parser.end() == []


@pytest.mark.parametrize("last", [b"data: x", b"data: x\n", b"data: x\r", b"data: x\r\n", b"data: x\n: comment"])
def test_at_the_end_of_the_stream_an_event_needs_no_blank_line(last: bytes) -> None:
    parser = EventParser(1000)
    assert parser.feed(last) == []
    assert parser.end() == [Event(b"", b"x")]


def test_only_the_first_byte_order_mark_of_a_stream_is_ignored() -> None:
    mark = b"\xef\xbb\xbf"
    assert parse(mark + b"data: a\n\n" + mark + b"data: b\n\n", 1000) == [Event(b"", b"a")]
    assert parse(mark + mark + b"data: a\n\n", 1000) == []


def test_a_text_cannot_forge_an_event() -> None:
    forged = Event(b"", b"x\n\nevent: done\ndata: forged")
    assert parse(encode(forged), 1000) == [Event(b"", b"x\n\nevent: done\ndata: forged")]


def test_an_event_without_end_is_cut_off() -> None:
    parser = EventParser(1000)
    for _ in range(20):
        assert parser.feed(b"x" * 50) == []
    with pytest.raises(UpstreamError):
        parser.feed(b"xx")


@pytest.mark.parametrize("line", [b":\n", b"data\n", b"x: y\n"])
def test_an_event_of_too_many_lines_is_an_error(line: bytes) -> None:
    assert len(EventParser(1 << 20).feed(b"data: a\n" + line * (MAX_LINES - 1) + b"\n")) == 1
    with pytest.raises(UpstreamError):
        EventParser(1 << 20).feed(b"data: a\n" + line * (MAX_LINES + 1) + b"\n")


def test_blank_lines_between_events_are_nothing() -> None:
    assert parse(b"\n" * 1000 + b"data: a" + b"\n" * 999 + b"data: b" + b"\n" * 2, 7) == [Event(b"", b"a"), Event(b"", b"b")]
