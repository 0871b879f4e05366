"""A callable as the key: LangChain's agent, for longer than a token lives."""

from __future__ import annotations

from langchain.agents import create_agent  # type: ignore[import-not-found] # in an environment of its own
from langchain_core.messages import AIMessageChunk
from langchain_openai import ChatOpenAI
from renewed import token  # type: ignore[import-not-found] # the recipe's

from ..given import MODEL, SAYS, TASK, must_arrive, reverse

if __name__ == "__main__":
    agent = create_agent(ChatOpenAI(model=MODEL, api_key=token), [reverse])
    streamed = agent.stream({"messages": [{"role": "user", "content": TASK}]}, stream_mode="messages")
    must_arrive([message.text for message, _ in streamed if isinstance(message, AIMessageChunk)], SAYS)
    print(SAYS)
