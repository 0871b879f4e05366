"""The deadline ends what nobody answers, and waits for what a queue or a busy loop holds up."""

from __future__ import annotations

import asyncio
import time

import pytest

from app.limits.valkey.deadline import AnsweredWithin, Answers

from ....support.waiting import on_a_loop

FOREVER = 3600


@on_a_loop
async def test_a_call_that_is_never_answered_ends() -> None:
    with pytest.raises(TimeoutError):
        async with AnsweredWithin(0.01, Answers()):
            await asyncio.sleep(FOREVER)


@on_a_loop
async def test_an_answer_is_kept_though_the_loop_read_it_late() -> None:
    reader, writer = asyncio.StreamReader(), asyncio.get_running_loop()
    async with AnsweredWithin(0.01, Answers()):
        writer.call_later(0.001, reader.feed_data, b"x")
        time.sleep(0.05)
        assert await reader.read(1) == b"x"


@on_a_loop
async def test_while_others_are_answered_a_call_may_wait() -> None:
    answers, loop, waiting = Answers(), asyncio.get_running_loop(), asyncio.Event()

    async def answer_others() -> None:
        for _ in range(20):
            async with AnsweredWithin(0.2, answers):
                await asyncio.sleep(0.02)
        waiting.set()

    others, began = asyncio.create_task(answer_others()), loop.time()
    async with AnsweredWithin(0.2, answers):
        await waiting.wait()
    assert loop.time() - began > 0.3
    await others


@on_a_loop
async def test_a_cancelled_call_is_cancelled() -> None:
    async def call() -> None:
        async with AnsweredWithin(FOREVER, Answers()):
            await asyncio.sleep(FOREVER)

    task = asyncio.create_task(call())
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
