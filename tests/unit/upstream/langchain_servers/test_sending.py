"""Whether a class that fails may have sent something: it has waited by then, or not."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from langchain_core.language_models import BaseChatModel
from langchain_core.outputs import ChatGenerationChunk, ChatResult

from app.upstream.langchain_servers.sending import Sending


class Failing(BaseChatModel):
    waits: bool

    @property
    def _llm_type(self) -> str:
        return "failing"

    def _generate(self, *given: Any, **more: Any) -> ChatResult:
        raise NotImplementedError

    async def _astream(self, *given: Any, **more: Any) -> AsyncIterator[ChatGenerationChunk]:
        if self.waits:
            await asyncio.sleep(0)
        raise ValueError("planted")
        yield


@pytest.mark.parametrize("waits", [False, True])
def test_before_its_first_wait_nothing_can_have_been_sent(waits: bool) -> None:
    """LangChain itself waits after the failure, to tell its callbacks."""
    model, sending = Failing(waits=waits), Sending()
    assert sending.may_have
    sending.watch(model)

    async def read() -> None:
        with pytest.raises(ValueError, match="planted"):
            async for _ in model.astream("hi"):
                pass

    asyncio.run(read())
    assert sending.may_have is waits
