"""Amazon Bedrock's Converse, in the bytes of its server."""

from __future__ import annotations

import binascii
import struct
from typing import Any, ClassVar

import orjson

from .dialect import Dialect


class Converse(Dialect):
    provider = "bedrock_converse"
    module = "langchain_aws"
    kind = "application/vnd.amazon.eventstream"
    model = "anthropic.claude-sonnet-4-5-20250929-v1:0"
    environment: ClassVar[dict[str, str]] = {
        "AWS_REGION": "eu-central-1",
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_ACCESS_KEY_ID": "AKIAPLANTED",
        "AWS_SECRET_ACCESS_KEY": "planted-key-0123456789",
    }
    key = None  # its SDK sends one over TLS only

    def said(self, text: str) -> Any:
        return "contentBlockDelta", {"contentBlockIndex": 0, "delta": {"text": text}}

    def thought(self, text: str) -> Any:
        return "contentBlockDelta", {"contentBlockIndex": 0, "delta": {"reasoningContent": {"text": text}}}

    def called(self, name: str, arguments: dict[str, Any]) -> Any:
        start = {"contentBlockIndex": 1, "start": {"toolUse": {"toolUseId": "tooluse_1", "name": name}}}
        told = {"contentBlockIndex": 1, "delta": {"toolUse": {"input": orjson.dumps(arguments).decode()}}}
        return [("contentBlockStart", start), ("contentBlockDelta", told), ("contentBlockStop", {"contentBlockIndex": 1})]

    def ended(self, reason: str, counts: tuple[int, int] | None = (12, 7)) -> list[Any]:
        words = {"stop": "end_turn", "tool_calls": "tool_use", "length": "max_tokens", "content_filter": "guardrail_intervened"}
        end = [("messageStop", {"stopReason": words[reason]})]
        if counts is None:
            return end
        usage = dict(zip(("inputTokens", "outputTokens", "totalTokens"), (*counts, sum(counts)), strict=True))
        return [*end, ("metadata", {"usage": usage, "metrics": {"latencyMs": 5}})]

    def error(self, status: int, words: str) -> dict[str, Any]:
        return {"message": words}

    def frame(self, event: Any) -> bytes:
        """Amazon's event stream encoding: lengths, their CRC, headers, payload, and the CRC of all."""
        if isinstance(event, list):
            return b"".join(map(self.frame, event))
        name, members = event
        said = {":event-type": name, ":content-type": "application/json", ":message-type": "event"}
        headers = b"".join(
            bytes([len(key)]) + key.encode() + b"\x07" + struct.pack(">H", len(value)) + value.encode()
            for key, value in said.items()
        )
        payload = orjson.dumps(members)
        prelude = struct.pack(">II", 16 + len(headers) + len(payload), len(headers))
        framed = prelude + struct.pack(">I", binascii.crc32(prelude)) + headers + payload
        return framed + struct.pack(">I", binascii.crc32(framed))

    def failure(self, status: int, *headers: str, words: str = "planted words") -> bytes:
        names = {400: "ValidationException", 403: "AccessDeniedException", 429: "ThrottlingException"}
        kind = names.get(status, "InternalServerException")
        return super().failure(status, f"x-amzn-ErrorType: {kind}", *headers, words=words)

    def denial(self) -> bytes:
        return self.failure(403)

    def limit(self, body: dict[str, Any]) -> Any:
        return body["inferenceConfig"]["maxTokens"]

    def _blocks(self, body: dict[str, Any]) -> list[dict[str, Any]]:
        return [block for message in body["messages"] for block in message["content"]]

    def images(self, body: dict[str, Any]) -> list[str]:
        return [block["image"]["source"]["bytes"] for block in self._blocks(body) if "image" in block]

    def tools(self, body: dict[str, Any]) -> list[str]:
        return [tool["toolSpec"]["name"] for tool in body["toolConfig"]["tools"]]

    def results(self, body: dict[str, Any]) -> list[str]:
        found = [block["toolResult"]["content"] for block in self._blocks(body) if "toolResult" in block]
        return [orjson.dumps(one).decode() for one in found]
