"""LlamaIndex: an agent with a tool, streamed."""

from __future__ import annotations

import asyncio

from llama_index.core.agent.workflow import AgentStream, FunctionAgent  # type: ignore[import-not-found] # in its own environment
from llama_index.llms.openai_like import OpenAILike  # type: ignore[import-not-found]

from ..given import BASE_URL, MODEL, SAYS, TASK, TOKEN, must_arrive, reverse

house = OpenAILike(model=MODEL, api_base=BASE_URL, api_key=TOKEN, is_chat_model=True, is_function_calling_model=True)


async def main() -> None:
    run = FunctionAgent(tools=[reverse], llm=house).run(TASK)
    pieces = [event.delta async for event in run.stream_events() if isinstance(event, AgentStream)]
    await run  # raises what went wrong
    must_arrive(pieces, SAYS)


if __name__ == "__main__":
    asyncio.run(main())
