"""A batch of events becomes one piece: what the caller gets now, and why reading stopped."""

from __future__ import annotations

import json
import logging

import pytest

from app.errors import UpstreamError
from app.kit.event_stream import Event
from app.upstream.errors import UpstreamOutOfQuota
from app.upstream.protocol.chat import CHAT
from app.upstream.protocol.chat_stream import DONE
from app.upstream.protocol.endpoint import Endpoint
from app.upstream.protocol.messages import MESSAGES
from app.upstream.protocol.responses import RESPONSES
from app.upstream.protocol.stream_reader import Piece, read_piece


def says(content: str, finish: str | None = None) -> Event:
    choice = {"index": 0, "delta": {"content": content}, "finish_reason": finish}
    return Event(b"", json.dumps({"choices": [choice]}).encode())


def test_a_piece_holds_the_events_of_a_batch_and_their_text() -> None:
    reader = CHAT.reader("alias", False)
    assert read_piece(reader, []) == Piece([], "")
    assert read_piece(reader, [says("Hel"), says("lo")]) == Piece([says("Hel"), says("lo")], "Hello")


def test_nothing_after_the_end_of_the_answer_is_read() -> None:
    reader = CHAT.reader("alias", False)
    piece = read_piece(reader, [says("a"), says("b", "stop"), DONE, Event(b"", b"no JSON")])
    assert (piece, reader.is_over, reader.held_text) == (Piece([says("a")], "a"), True, "b")


@pytest.mark.parametrize("bad", [b"no JSON", b'{"error": {"message": "a planted text"}}'])
def test_a_bad_event_ends_the_piece_after_what_came_before(bad: bytes, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        piece = read_piece(CHAT.reader("alias", False), [says("a"), Event(b"", bad), says("b")])
    assert (piece.events, piece.text, type(piece.error)) == ([says("a")], "a", UpstreamError)
    (line,) = caplog.messages
    assert line.startswith("upstream unusable event: ")
    assert "planted" not in line


def test_a_bad_event_leaves_what_is_held_back_undelivered() -> None:
    """The caller did not get it, so the record of the failure must not hold it."""
    reader = CHAT.reader("alias", False)
    piece = read_piece(reader, [says("Hel"), says("lo", "stop"), Event(b"", b'{"choices": [7]}')])
    reader.mark_delivered()
    assert (piece.events, reader.delivered()) == ([says("Hel")], "Hel")


def test_a_server_that_ends_the_stream_early_is_an_error() -> None:
    reader = CHAT.reader("alias", False)
    read_piece(reader, [says("a")])
    with pytest.raises(UpstreamError):
        read_piece(reader, None)


def test_a_server_may_end_the_stream_without_its_marker() -> None:
    reader = CHAT.reader("alias", False)
    read_piece(reader, [says("a", "stop")])
    assert read_piece(reader, None) == Piece([], "")
    assert reader.is_over


@pytest.mark.parametrize("marker", [b"[done]", b" [DONE] ", b'"[DONE]"', b"done", b"<DONE>"])
def test_a_server_may_spell_its_marker_as_it_likes(marker: bytes) -> None:
    reader = CHAT.reader("alias", False)
    assert read_piece(reader, [says("a", "stop"), Event(b"", marker)]).error is None
    assert read_piece(reader, None).error is None
    assert reader.completion().text == "a"


@pytest.mark.parametrize("beside", [{"choices": None}, {"choices": []}, {}])
def test_an_error_in_a_form_of_the_servers_own_ends_a_stream(beside: dict[str, object]) -> None:
    odd = {**beside, "base_resp": {"status_code": 1008, "status_msg": "insufficient balance"}}
    piece = read_piece(CHAT.reader("alias", False), [says("a"), Event(b"", json.dumps(odd).encode()), DONE])
    assert (piece.events, type(piece.error)) == ([says("a")], UpstreamOutOfQuota)
    fine = {**beside, "base_resp": {"status_code": 0, "status_msg": "success"}}
    assert read_piece(CHAT.reader("alias", False), [says("a"), Event(b"", json.dumps(fine).encode()), DONE]).error is None


@pytest.mark.parametrize("endpoint", [CHAT, RESPONSES, MESSAGES])
def test_at_every_endpoint_an_error_may_have_no_type(endpoint: Endpoint) -> None:
    odd = Event(b"", json.dumps({"code": "InvalidApiKey", "message": "余额不足", "request_id": "r"}).encode())
    assert type(read_piece(endpoint.reader("alias", False), [odd]).error) is UpstreamOutOfQuota
