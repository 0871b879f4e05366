"""A class without an asynchronous call: its threads are its own, bounded, and let go with their caller."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, AIMessageChunk
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult

from app.errors import UpstreamUnavailable
from app.upstream.langchain_servers.threads import AHEAD, InThread, use_threads

from ....support.waiting import eventually


class Blocking(BaseChatModel):
    """As ChatBedrockConverse: without `_astream` and `_agenerate`."""

    @property
    def _llm_type(self) -> str:
        return "blocking"

    def _generate(self, *given: Any, **more: Any) -> ChatResult:
        name = threading.current_thread().name
        return ChatResult(generations=[ChatGeneration(message=AIMessage(name))])

    def _stream(self, *given: Any, **more: Any) -> Iterator[ChatGenerationChunk]:
        yield ChatGenerationChunk(message=AIMessageChunk(content=threading.current_thread().name))


@pytest.mark.parametrize("disable_streaming", [False, True])
def test_the_services_own_threads_stay_free(disable_streaming: bool) -> None:
    model = Blocking(disable_streaming=disable_streaming)

    async def read() -> str:
        use_threads(model)
        return "".join([str(piece.text) async for piece in model.astream("hi")])

    assert asyncio.run(read()).startswith("Thread-")  # LangChain would take one named asyncio_


def test_a_class_with_a_call_of_its_own_keeps_it() -> None:
    class Awaited(Blocking):
        async def _astream(self, *given: Any, **more: Any) -> Any:
            yield ChatGenerationChunk(message=AIMessageChunk(content="awaited"))

    model = Awaited()
    use_threads(model)
    assert "_astream" not in vars(model)


def test_what_the_iterator_raises_is_raised_after_its_pieces() -> None:
    def failing() -> Iterator[int]:
        yield 1
        raise ValueError("planted")

    async def read() -> int:
        pieces = InThread(failing).pieces()
        first = await anext(pieces)
        with pytest.raises(ValueError, match="planted"):
            await anext(pieces)
        return int(first)

    assert asyncio.run(read()) == 1


def test_a_thread_reads_only_a_little_ahead_and_ends_with_its_caller() -> None:
    read, closed = [0], threading.Event()

    def endless() -> Iterator[int]:
        try:
            while True:
                read[0] += 1
                yield read[0]
        finally:
            closed.set()

    async def leave() -> None:
        pieces = InThread(endless).pieces()
        assert await anext(pieces) == 1
        while read[0] < AHEAD:
            await asyncio.sleep(0.01)
        assert read[0] <= AHEAD + 2
        await pieces.aclose()

    asyncio.run(leave())
    assert closed.wait(10)


def test_a_call_that_hangs_delays_no_stop_and_holds_one_of_the_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    end, free = threading.Event(), threading.BoundedSemaphore(1)
    monkeypatch.setattr(InThread, "_free", free)

    def hanging() -> Iterator[int]:
        end.wait(60)
        yield 1

    async def leave() -> None:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05):
                await anext(InThread(hanging).pieces())
        with pytest.raises(UpstreamUnavailable):
            await anext(InThread(hanging).pieces())

    asyncio.run(leave())  # which would wait for LangChain's thread
    end.set()
    eventually(lambda: free.acquire(blocking=False))
