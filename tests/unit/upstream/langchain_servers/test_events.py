"""The events of a stream: the first, the last, and what is too large."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from typing import Any

import orjson
import pytest
from langchain_core.messages import AIMessageChunk

from app.errors import AppError, UpstreamError
from app.upstream.attempts import Attempts
from app.upstream.bounds import MAX_EVENT_BYTES
from app.upstream.langchain_servers.answer import Answer
from app.upstream.langchain_servers.events import ChunkEvents
from app.upstream.langchain_servers.pieces import Pieces

STOPPED: Any = {"response_metadata": {"finish_reason": "stop"}}


def chunk(text: str, **members: Any) -> AIMessageChunk:
    return AIMessageChunk(content=text, **members)


END = chunk("", **STOPPED)


def read(*chunks: AIMessageChunk) -> list[Any]:
    async def given() -> AsyncGenerator[Any]:
        for chunk in chunks:
            yield chunk

    async def work() -> list[Any]:
        attempts = Attempts()
        events = ChunkEvents(Pieces(given(), lambda error: AppError(str(error))), Answer("m"), attempts)
        await events.begin()
        found: list[bytes] = []
        while (arrived := await events.read()) is not None:
            found += [event.data for event in arrived]
        assert await events.read() is None
        assert events.kept_bytes(False) == attempts.now.received == sum(map(len, found)) - len(b"[DONE]")
        return [orjson.loads(data) for data in found[:-1]]

    return asyncio.run(work())


def test_the_first_event_names_the_role_and_empty_ones_are_left_out() -> None:
    documents = read(chunk(""), chunk(""), chunk("a"), END)
    assert [one["choices"][0]["delta"] for one in documents] == [{"role": "assistant", "content": ""}, {"content": "a"}, {}]


def test_usage_that_was_not_told_has_no_event() -> None:
    assert all(one["choices"] for one in read(chunk("a", **STOPPED)))


def test_a_stream_without_an_end_is_an_error() -> None:
    with pytest.raises(UpstreamError):
        read(chunk("a"))


def test_a_piece_that_is_too_large_is_an_error() -> None:
    with pytest.raises(UpstreamError):
        read(chunk("a" * MAX_EVENT_BYTES), END)
