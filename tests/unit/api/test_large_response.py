"""A large answer leaves in pieces, each after the caller has read the one before."""

from __future__ import annotations

import asyncio
from typing import Any

from app.api.large_response import PIECE_BYTES, LargeResponse, json_response


def test_it_is_sent_in_pieces_of_its_whole_length() -> None:
    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    data = b"x" * (2 * PIECE_BYTES + 3)
    response = LargeResponse((memoryview(data), b"end"), {"x-audit-seq": "7"})
    asyncio.run(response({}, send, send))  # type: ignore[arg-type]
    assert [one["type"] for one in sent] == ["http.response.start", *["http.response.body"] * 4]
    start, *pieces = sent
    headers = dict(start["headers"])
    assert (start["status"], headers[b"content-type"], headers[b"x-audit-seq"]) == (200, b"application/json", b"7")
    assert int(headers[b"content-length"]) == len(data) + 3
    assert b"".join(one["body"] for one in pieces) == data + b"end"
    assert [one.get("more_body", False) for one in pieces] == [True, True, True, False]
    assert max(len(one["body"]) for one in pieces) == PIECE_BYTES


def test_only_an_answer_of_more_than_a_piece_leaves_in_pieces() -> None:
    small, large = (json_response(b"x" * length, {"x-audit-seq": "7"}) for length in (PIECE_BYTES, PIECE_BYTES + 1))
    assert (isinstance(small, LargeResponse), isinstance(large, LargeResponse)) == (False, True)
    for response in (small, large):
        assert response.headers["content-type"] == "application/json"
        assert response.headers["x-audit-seq"] == "7"
