"""Heads in pieces, and what waits behind a request."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.api.http_errors import HeadTooLarge, MalformedHttp, TooManyConnections
from app.limits.bounds import Bounds
from app.serving.connections import Connections
from app.serving.incoming import Incoming

HEAD = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"
BOUNDS = Bounds(head_bytes=100, behind_bytes=10, kept_bytes=150)


def incoming(bounds: Bounds = BOUNDS) -> Incoming:
    return Incoming(Connections(bounds))


@given(st.lists(st.integers(1, 8), min_size=len(HEAD) + 8), st.sampled_from([b"", b"\r\n", b"\r\n\r\n"]))
def test_a_head_is_found_however_it_is_cut_and_the_rest_is_left(sizes: list[int], before: bytes) -> None:
    sent, found, waiting = before + HEAD + b"rest", b"", incoming()
    for size in sizes:
        piece, sent = sent[:size], sent[size:]
        head, end = waiting.collect(piece, 0)
        if head is not None:
            found, sent = head, piece[end:] + sent
            break
    assert (found, sent) == (HEAD, b"rest")
    assert waiting.is_empty


@pytest.mark.parametrize("cut", [1, 4, 5, 20])
def test_the_method_head_is_known_in_pieces_and_forgotten_with_the_next(cut: int) -> None:
    waiting, asked = incoming(), HEAD.replace(b"GET", b"HEAD")
    waiting.collect(asked[:cut], 0)
    waiting.collect(asked[cut:], 0)
    assert waiting.asks_head
    waiting.collect(HEAD, 0)
    assert not waiting.asks_head


@pytest.mark.parametrize("first", [b"\x16\x03\x01", b"get / HTTP/1.1", b" GET", b"{"])
def test_what_cannot_begin_a_head_is_refused_at_once(first: bytes) -> None:
    with pytest.raises(MalformedHttp):
        incoming().collect(first, 0)


@pytest.mark.parametrize("end", [b"", b"\r\n\r\n"])
def test_a_head_has_a_largest_size(end: bytes) -> None:
    with pytest.raises(HeadTooLarge):
        incoming().collect(b"G" * 101 + end, 0)
    waiting = incoming()
    waiting.collect(b"G" * 60, 0)
    with pytest.raises(HeadTooLarge):
        waiting.collect(b"G" * 60 + end, 0)


def test_what_is_held_is_taken_whole_and_reading_stops_at_the_bound() -> None:
    waiting = incoming()
    assert waiting.hold(b"..12345", 2)
    assert not waiting.hold(b"67890abc")
    assert waiting.take() == (b"1234567890abc", 0)
    assert waiting.is_empty


def test_all_connections_together_keep_a_bounded_number_of_bytes() -> None:
    connections = Connections(BOUNDS)
    one, other = Incoming(connections), Incoming(connections)
    one.collect(b"G" * 80, 0)
    with pytest.raises(TooManyConnections):
        other.hold(b"G" * 80)
    one.clear()
    other.clear()
    assert connections.kept_bytes == 0
    other.collect(b"G" * 80, 0)
    assert connections.kept_bytes == 80


def test_the_bounds_of_a_worker_hold_the_largest_heads() -> None:
    bounds = replace(Bounds(), kept_bytes=0)
    waiting = incoming(bounds)
    assert waiting.collect(b"GET /" + b"a" * (bounds.head_bytes - 9) + b"\r\n\r\n", 0)[0] is not None
