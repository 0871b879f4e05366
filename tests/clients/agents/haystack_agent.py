"""Haystack: an agent with a tool, streamed; key and base URL from the environment."""

from __future__ import annotations

import os

from haystack.components.agents import Agent  # type: ignore[import-not-found] # in an environment of its own
from haystack.components.generators.chat import OpenAIChatGenerator  # type: ignore[import-not-found]
from haystack.dataclasses import ChatMessage  # type: ignore[import-not-found]
from haystack.tools import create_tool_from_function  # type: ignore[import-not-found]

from ..given import MODEL, SAYS, TASK, must_arrive, must_be, reverse


def main() -> None:
    pieces: list[str] = []
    generator = OpenAIChatGenerator(model=MODEL, api_base_url=os.environ["OPENAI_BASE_URL"])
    tool = create_tool_from_function(reverse)
    agent = Agent(chat_generator=generator, tools=[tool], streaming_callback=lambda chunk: pieces.append(chunk.content))
    answer = agent.run(messages=[ChatMessage.from_user(TASK)])
    must_be(answer["messages"][-1].text, SAYS)
    must_arrive([piece for piece in pieces if piece and piece in SAYS], SAYS)


if __name__ == "__main__":
    main()
