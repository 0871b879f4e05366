"""LangChain's agent with a tool, streamed; key and base URL from the environment."""

from __future__ import annotations

from langchain.agents import create_agent  # type: ignore[import-not-found] # in an environment of its own
from langchain_core.messages import AIMessageChunk
from langchain_openai import ChatOpenAI

from ..given import MODEL, SAYS, TASK, must_arrive, reverse

agent = create_agent(ChatOpenAI(model=MODEL), [reverse])


def main() -> None:
    streamed = agent.stream({"messages": [{"role": "user", "content": TASK}]}, stream_mode="messages")
    must_arrive([message.text for message, _ in streamed if isinstance(message, AIMessageChunk)], SAYS)


if __name__ == "__main__":
    main()
