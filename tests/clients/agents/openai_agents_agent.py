"""OpenAI's Agents SDK: an agent with a tool on /v1/responses, streamed; key and base URL from the environment."""

from __future__ import annotations

import asyncio

from agents import Agent, Runner, function_tool, set_tracing_disabled  # type: ignore[import-not-found] # in its own environment

from ..given import MODEL, SAYS, TASK, must_arrive, must_be, reverse

set_tracing_disabled(True)
agent = Agent(name="house", model=MODEL, tools=[function_tool(reverse)])


async def main() -> None:
    run = Runner.run_streamed(agent, TASK)
    events = [event async for event in run.stream_events() if event.type == "raw_response_event"]
    must_arrive([event.data.delta for event in events if event.data.type == "response.output_text.delta"], SAYS)
    must_be(run.final_output, SAYS)


if __name__ == "__main__":
    asyncio.run(main())
