"""What LangChain's chat models answer, in the words of OpenAI's chat completions."""

from __future__ import annotations

import secrets
import time
from collections.abc import Mapping
from typing import Any

from langchain_core.messages import AIMessage, AIMessageChunk
from langchain_core.messages.ai import UsageMetadata, add_usage

from ..protocol.members import MAX_WORD

FINISH = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "complete": "stop",
    "tool_use": "tool_calls",
    "max_tokens": "length",
    "model_length": "length",
    "model_context_window_exceeded": "length",
    **dict.fromkeys(("refusal", "safety", "recitation", "blocklist", "prohibited_content", "spii"), "content_filter"),
    **dict.fromkeys(("content_filtered", "guardrail_intervened", "image_safety", "error_toxic"), "content_filter"),
}
"""OpenAI's words for why an answer ended. A word that is not here is passed on as it is."""
ENDS = frozenset({"finishreason", "stopreason", "donereason"})
JUDGED = "prompt_feedback"
"""Where Gemini says that it has blocked the question, in place of an answer and its end."""
MODELS = ("model_name", "model")
WRITTEN = ("cache_creation", "ephemeral_5m_input_tokens", "ephemeral_1h_input_tokens")
"""Parts of the input that the server wrote to its cache. None is counted in another."""


class Answer:
    """One answer, from its pieces."""

    def __init__(self, model: str) -> None:
        """*model*: its name if the server gives none."""
        self.model = model
        self.finish: str | None = None
        """Why it ended; None: it has not."""
        self._id, self._created = f"chatcmpl-{secrets.token_hex(12)}", int(time.time())
        self._usage: UsageMetadata | None = None
        self._tools: dict[Any, int] = {}

    def delta(self, piece: AIMessage) -> dict[str, Any]:
        """What *piece* adds to the message; maybe nothing."""
        self._usage = add_usage(self._usage, piece.usage_metadata) if piece.usage_metadata else self._usage
        for name, value in piece.response_metadata.items():
            if name in MODELS and isinstance(value, str) and value:
                self.model = value
            elif name.replace("_", "").lower() in ENDS and isinstance(value, str) and value:
                self.finish = FINISH.get(value.lower(), value.lower())[:MAX_WORD]
            elif name == JUDGED and isinstance(value, dict) and value.get("block_reason"):
                self.finish = "content_filter"
        delta: dict[str, Any] = {}
        if text := str(piece.text):
            delta["content"] = text
        if thought := _thought(piece):
            delta["reasoning_content"] = thought
        if calls := self._calls(piece):
            delta["tool_calls"] = calls
        return delta

    def envelope(self, kind: str) -> dict[str, Any]:
        """The members around the choices of a *kind* of object."""
        return {"id": self._id, "object": kind, "created": self._created, "model": self.model}

    @property
    def finish_reason(self) -> str | None:
        return "tool_calls" if self.finish == "stop" and self._tools else self.finish

    @property
    def usage(self) -> dict[str, Any] | None:
        """None where the server did not count: no question has no tokens."""
        counted = self._usage
        if counted is None or not counted["input_tokens"]:
            return None
        inputs: Mapping[str, Any] = counted.get("input_token_details", {})
        written = sum(inputs.get(name) or 0 for name in WRITTEN)
        reasoning = counted.get("output_token_details", {}).get("reasoning", 0)
        return {
            "prompt_tokens": counted["input_tokens"],
            "completion_tokens": counted["output_tokens"],
            "total_tokens": counted["input_tokens"] + counted["output_tokens"],
            "prompt_tokens_details": {
                "cached_tokens": inputs.get("cache_read") or 0,
                **({"cache_write_tokens": written} if written else {}),
            },
            "completion_tokens_details": {"reasoning_tokens": reasoning},
        }

    def _calls(self, piece: AIMessage) -> list[dict[str, Any]]:
        """OpenAI numbers the calls from 0; others number all blocks, or nothing."""
        if not isinstance(piece, AIMessageChunk):
            piece = AIMessageChunk(content="", tool_calls=piece.tool_calls, invalid_tool_calls=piece.invalid_tool_calls)
        calls = []
        for chunk in piece.tool_call_chunks:
            place = chunk["index"] if chunk["index"] is not None else chunk["id"]
            is_new = place not in self._tools  # some classes make up an id for each piece
            index = self._tools.setdefault(place, len(self._tools))
            given = {"name": chunk["name"], "arguments": chunk["args"]}
            begun = {"id": chunk["id"], "type": "function"} if is_new else {}
            function = {name: value for name, value in given.items() if value is not None}
            calls.append({"index": index, **begun, "function": function})
        return calls


def _thought(piece: AIMessage) -> str:
    if isinstance(piece.content, str):
        return ""
    return "".join(str(block.get("reasoning") or "") for block in piece.content_blocks if block["type"] == "reasoning")
