"""A caller who disconnects ends what is done for them, and nothing else."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from app.assistant.disconnect import Disconnected, cancel_on_disconnect
from app.errors import ClientGone


def run(work: Callable[[Disconnected], Awaitable[None]]) -> None:
    async def main() -> None:
        await work(asyncio.get_running_loop().create_future())

    asyncio.run(main())


def test_a_disconnect_cancels_what_is_awaited_and_becomes_client_gone() -> None:
    async def work(disconnected: Disconnected) -> None:
        asyncio.get_running_loop().call_soon(disconnected.set_result, None)
        with pytest.raises(ClientGone):
            with cancel_on_disconnect(disconnected):
                await asyncio.sleep(60)
        task = asyncio.current_task()
        assert task is not None
        assert task.cancelling() == 0
        await asyncio.sleep(0)  # the task goes on

    run(work)


def test_a_caller_who_was_gone_before_is_noticed_at_the_first_wait() -> None:
    async def work(disconnected: Disconnected) -> None:
        disconnected.set_result(None)
        with pytest.raises(ClientGone):
            with cancel_on_disconnect(disconnected):
                await asyncio.sleep(60)

    run(work)


def test_a_disconnect_in_the_turn_in_which_the_work_ends_is_too_late() -> None:
    async def work(disconnected: Disconnected) -> None:
        with cancel_on_disconnect(disconnected):
            disconnected.set_result(None)  # its callback is scheduled, and runs after the block
        await asyncio.sleep(0)
        await asyncio.sleep(0)

    run(work)


def test_a_disconnect_after_the_work_does_nothing() -> None:
    async def work(disconnected: Disconnected) -> None:
        with cancel_on_disconnect(disconnected):
            pass
        disconnected.set_result(None)
        await asyncio.sleep(0)

    run(work)


@pytest.mark.parametrize("is_watched", [True, False])
def test_another_cancellation_passes_through(is_watched: bool) -> None:
    async def work(disconnected: Disconnected) -> None:
        async def wait() -> None:
            with cancel_on_disconnect(disconnected if is_watched else None):
                await asyncio.sleep(60)

        task = asyncio.create_task(wait())
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    run(work)


def test_the_end_of_the_watch_is_no_disconnect() -> None:
    """The watch is a task; it is cancelled when the request is over."""

    async def work(disconnected: Disconnected) -> None:
        with cancel_on_disconnect(disconnected):
            disconnected.cancel()
            await asyncio.sleep(0)
            await asyncio.sleep(0)

    run(work)


def test_errors_of_the_work_pass_through() -> None:
    async def work(disconnected: Disconnected) -> None:
        with pytest.raises(ZeroDivisionError):
            with cancel_on_disconnect(disconnected):
                raise ZeroDivisionError

    run(work)
