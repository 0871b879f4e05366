"""pydantic-ai: an agent with a tool, streamed; key and base URL from the environment."""

from __future__ import annotations

import asyncio

from pydantic_ai import Agent  # type: ignore[import-not-found] # in an environment of its own

from ..given import MODEL, SAYS, TASK, must_arrive, reverse

agent = Agent(f"openai-chat:{MODEL}", tools=[reverse])


async def main() -> None:
    async with agent.run_stream(TASK) as run:
        must_arrive([piece async for piece in run.stream_text(delta=True, debounce_by=None)], SAYS)


if __name__ == "__main__":
    asyncio.run(main())
