"""AutoGen: an assistant with a tool, streamed; key and base URL from the environment."""

from __future__ import annotations

import asyncio

from autogen_agentchat.agents import AssistantAgent  # type: ignore[import-not-found] # in an environment of its own
from autogen_agentchat.messages import ModelClientStreamingChunkEvent  # type: ignore[import-not-found]
from autogen_core.models import ModelInfo  # type: ignore[import-not-found]
from autogen_ext.models.openai import OpenAIChatCompletionClient  # type: ignore[import-not-found]

from ..given import MODEL, SAYS, TASK, must_arrive, reverse

INFO = ModelInfo(vision=False, function_calling=True, json_output=True, structured_output=True, family="unknown")


async def main() -> None:
    client = OpenAIChatCompletionClient(model=MODEL, model_info=INFO)
    agent = AssistantAgent("house", client, tools=[reverse], max_tool_iterations=5, model_client_stream=True)
    events = [event async for event in agent.run_stream(task=TASK)]
    must_arrive([event.content for event in events if isinstance(event, ModelClientStreamingChunkEvent)], SAYS)
    await client.close()


if __name__ == "__main__":
    asyncio.run(main())
