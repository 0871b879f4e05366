"""Semantic Kernel: an agent with a plugin, streamed."""

from __future__ import annotations

import asyncio

from openai import AsyncOpenAI
from semantic_kernel.agents import ChatCompletionAgent  # type: ignore[import-not-found] # in an environment of its own
from semantic_kernel.connectors.ai.open_ai import OpenAIChatCompletion  # type: ignore[import-not-found]
from semantic_kernel.functions import kernel_function  # type: ignore[import-not-found]

from ..given import BASE_URL, MODEL, SAYS, TASK, TOKEN, must_arrive, reverse


class Words:
    @kernel_function(name="reverse", description="Turn a text around.")  # type: ignore[untyped-decorator]
    def reverse(self, text: str) -> str:
        return reverse(text)


async def main() -> None:
    service = OpenAIChatCompletion(ai_model_id=MODEL, async_client=AsyncOpenAI(base_url=BASE_URL, api_key=TOKEN))
    agent = ChatCompletionAgent(service=service, name="house", plugins=[Words()])
    must_arrive([str(piece.message.content) async for piece in agent.invoke_stream(messages=TASK)], SAYS)


if __name__ == "__main__":
    asyncio.run(main())
