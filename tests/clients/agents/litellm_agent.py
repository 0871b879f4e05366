"""LiteLLM as a client: one call of a tool, and a streamed answer."""

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
    message = litellm.completion(**ASKED, messages=said).choices[0].message
    call = message.tool_calls[0]
    result = reverse(**json.loads(call.function.arguments))
    said += [message, {"role": "tool", "tool_call_id": call.id, "content": result}]
    stream = litellm.completion(**ASKED, messages=said, stream=True)
    must_arrive([chunk.choices[0].delta.content or "" for chunk in stream if chunk.choices], SAYS)


if __name__ == "__main__":
    main()
