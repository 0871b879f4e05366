"""LiteLLM as a client: calls of a tool, and a streamed answer."""

from __future__ import annotations

import json
from typing import Any

import litellm  # type: ignore[import-not-found] # in an environment of its own

from ..given import BASE_URL, MODEL, SAYS, TASK, TOKEN, must_arrive, reverse

SCHEMA = {"type": "object", "properties": {"text": {"type": "string"}}, "required": ["text"]}
TOOLS = [{"type": "function", "function": {"name": "reverse", "parameters": SCHEMA}}]
ASKED: dict[str, Any] = {"model": f"openai/{MODEL}", "api_base": BASE_URL, "api_key": TOKEN, "tools": TOOLS}


def main() -> None:
    said: list[Any] = [{"role": "user", "content": TASK}]
    while True:
        chunks = list(litellm.completion(**ASKED, messages=said, stream=True))
        message = litellm.stream_chunk_builder(chunks).choices[0].message
        if not message.tool_calls:
            break
        said.append(message)
        for call in message.tool_calls:
            result = reverse(**json.loads(call.function.arguments))
            said.append({"role": "tool", "tool_call_id": call.id, "content": result})
    must_arrive([chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices], SAYS)


if __name__ == "__main__":
    main()
