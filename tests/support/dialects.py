"""Protocols that LangChain's classes speak, in the bytes of their servers, and a service in front of such a server."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import orjson

from .converse import Converse
from .dialect import Dialect
from .raw_server import whole
from .service import Service

STANDARD = str.maketrans("-_", "+/")
"""From base64url."""


class Mistral(Dialect):
    provider = "mistralai"
    module = "langchain_mistralai"

    def address(self, url: str) -> str:
        return url

    def _chunk(self, delta: dict[str, Any], reason: str | None = None, **more: Any) -> dict[str, Any]:
        choice = {"index": 0, "delta": {"role": "assistant", **delta}, "finish_reason": reason}
        return {"id": "m1", "object": "chat.completion.chunk", "model": "mistral-real", "choices": [choice], **more}

    def said(self, text: str) -> Any:
        return self._chunk({"content": text})

    def thought(self, text: str) -> Any:
        return self._chunk({"content": [{"type": "thinking", "thinking": [{"type": "text", "text": text}]}]})

    def called(self, name: str, arguments: dict[str, Any]) -> Any:
        function = {"name": name, "arguments": orjson.dumps(arguments).decode()}
        return self._chunk({"content": "", "tool_calls": [{"id": "abc123XYZ", "index": 0, "function": function}]})

    def ended(self, reason: str, counts: tuple[int, int] | None = (12, 7)) -> list[Any]:
        counted = counts and dict(
            zip(("prompt_tokens", "completion_tokens", "total_tokens"), (*counts, sum(counts)), strict=True)
        )
        return [self._chunk({"content": ""}, reason, **({"usage": counted} if counted else {}))]

    def error(self, status: int, words: str) -> dict[str, Any]:
        return {"object": "error", "message": words, "type": "x", "param": None, "code": "3001"}

    def images(self, body: dict[str, Any]) -> list[str]:
        parts = [part for message in body["messages"] if isinstance(message["content"], list) for part in message["content"]]
        urls = [part["image_url"] for part in parts if part["type"] == "image_url"]
        return [(url if isinstance(url, str) else url["url"]).partition(",")[2] for url in urls]

    def tools(self, body: dict[str, Any]) -> list[str]:
        return [tool["function"]["name"] for tool in body["tools"]]

    def results(self, body: dict[str, Any]) -> list[str]:
        return [message["content"] for message in body["messages"] if message["role"] == "tool"]


class Gemini(Dialect):
    provider = "google_genai"
    module = "langchain_google_genai"
    model = "gemini-3.5-flash"

    def _chunk(self, *parts: dict[str, Any], **more: Any) -> dict[str, Any]:
        candidate = {"content": {"role": "model", "parts": list(parts)}, "index": 0, **more}
        return {"candidates": [candidate], "modelVersion": "gemini-real", "responseId": "r1"}

    def said(self, text: str) -> Any:
        return self._chunk({"text": text})

    def thought(self, text: str) -> Any:
        return self._chunk({"text": text, "thought": True})

    def called(self, name: str, arguments: dict[str, Any]) -> Any:
        return self._chunk({"functionCall": {"name": name, "args": arguments}, "thoughtSignature": "c2ln"})

    def ended(self, reason: str, counts: tuple[int, int] | None = (12, 7)) -> list[Any]:
        words = {"stop": "STOP", "tool_calls": "STOP", "length": "MAX_TOKENS", "content_filter": "SAFETY"}
        counted = counts and dict(
            zip(("promptTokenCount", "candidatesTokenCount", "totalTokenCount"), (*counts, sum(counts)), strict=True)
        )
        end = self._chunk({"text": ""}, finishReason=words[reason])
        return [{**end, **({"usageMetadata": counted} if counted else {})}]

    def error(self, status: int, words: str) -> dict[str, Any]:
        names = {400: "INVALID_ARGUMENT", 401: "UNAUTHENTICATED", 429: "RESOURCE_EXHAUSTED", 500: "INTERNAL"}
        return {"error": {"code": status, "message": words, "status": names.get(status, "UNKNOWN")}}

    def denial(self) -> bytes:
        told = {"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": "API_KEY_INVALID", "domain": "googleapis.com"}
        error = {"code": 400, "message": "API key not valid.", "status": "INVALID_ARGUMENT", "details": [told]}
        return whole(orjson.dumps({"error": error}), status="400 Failed")

    def limit(self, body: dict[str, Any]) -> Any:
        return body["generationConfig"]["maxOutputTokens"]

    def _parts(self, body: dict[str, Any]) -> list[dict[str, Any]]:
        return [part for content in body["contents"] for part in content["parts"]]

    def images(self, body: dict[str, Any]) -> list[str]:
        return [part["inlineData"]["data"].translate(STANDARD) for part in self._parts(body) if "inlineData" in part]

    def tools(self, body: dict[str, Any]) -> list[str]:
        return [one["name"] for tool in body["tools"] for one in tool["functionDeclarations"]]

    def results(self, body: dict[str, Any]) -> list[str]:
        found = [part["functionResponse"]["response"] for part in self._parts(body) if "functionResponse" in part]
        return [orjson.dumps(one).decode() for one in found]


DIALECTS: tuple[Dialect, ...] = (Mistral(), Gemini(), Converse())
INSTALLED = [one for one in DIALECTS if one.is_installed()]

# --- a service in front of such a server -------------------------------------------------------------

POLICY = """
retries.most = 0
[servers.other]
langchain = "{provider}"
base_url = "{url}"
{key}
[models.other]
server = "other"
model = "{model}"
"""


def service_for(folder: Path, dialect: Dialect, url: str, **env: str) -> Service:
    """Not started. Its model `other` is asked at *url*, which ends with /v1."""
    folder.mkdir(parents=True, exist_ok=True)
    key = 'api_key_env = "OTHER_KEY"' if dialect.key else ""
    words = {"provider": dialect.provider, "url": dialect.address(url), "key": key, "model": dialect.model}
    (folder / "policy.toml").write_text(POLICY.format(**words))
    own: dict[str, Any] = {"POLICY_FILE": "policy.toml", "LLM_MODEL": "other", **dialect.environment, **env}
    return Service(folder, **{"OTHER_KEY": dialect.key or "", **own})
