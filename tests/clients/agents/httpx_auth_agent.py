"""An httpx.Auth: pydantic-ai's agent on a client of its own, for longer than a token lives."""

from __future__ import annotations

import asyncio

from openai import AsyncOpenAI, DefaultAsyncHttpxClient
from pydantic_ai import Agent  # type: ignore[import-not-found] # in an environment of its own
from pydantic_ai.models.openai import OpenAIChatModel  # type: ignore[import-not-found]
from pydantic_ai.providers.openai import OpenAIProvider  # type: ignore[import-not-found]
from renewed import Renewed  # type: ignore[import-not-found] # the recipe's

from ..given import BASE_URL, MODEL, SAYS, TASK, must_arrive, reverse


async def main() -> None:
    client = AsyncOpenAI(base_url=BASE_URL, api_key="renewed", http_client=DefaultAsyncHttpxClient(auth=Renewed()))
    agent = Agent(OpenAIChatModel(MODEL, provider=OpenAIProvider(openai_client=client)), tools=[reverse])
    async with agent.run_stream(TASK) as run:
        must_arrive([piece async for piece in run.stream_text(delta=True, debounce_by=None)], SAYS)
    print(SAYS)


if __name__ == "__main__":
    asyncio.run(main())
