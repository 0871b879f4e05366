"""What a server of another protocol than OpenAI's writes, whichever it is, and how it is asked."""

from __future__ import annotations

from importlib.util import find_spec
from typing import Any, ClassVar

import orjson

from .raw_server import chunk, head, whole


class Dialect:
    """One protocol. An event is a piece of an answer; `stream` frames events as that server does."""

    provider: ClassVar[str]
    """As in `langchain = "…"`."""
    module: ClassVar[str]
    kind: ClassVar[str] = "text/event-stream"
    environment: ClassVar[dict[str, str]] = {}
    key: ClassVar[str | None] = "sk-planted-key-0123456789"
    model = "model-test"

    @classmethod
    def is_installed(cls) -> bool:
        return find_spec(cls.module) is not None

    def address(self, url: str) -> str:
        """The `base_url` of a server at *url*, which ends with /v1."""
        return url.removesuffix("/v1")

    def said(self, text: str) -> Any:
        raise NotImplementedError

    def thought(self, text: str) -> Any:
        raise NotImplementedError

    def called(self, name: str, arguments: dict[str, Any]) -> Any:
        raise NotImplementedError

    def ended(self, reason: str, counts: tuple[int, int] | None = (12, 7)) -> list[Any]:
        """*reason*: OpenAI's word. *counts*: tokens of input and output."""
        raise NotImplementedError

    def error(self, status: int, words: str) -> dict[str, Any]:
        raise NotImplementedError

    def frame(self, event: Any) -> bytes:
        return b"data: %b\n\n" % orjson.dumps(event)

    # --- what a server writes --------------------------------------------------------------------

    def begun(self, *events: Any) -> bytes:
        """The head of a stream, and its first events."""
        return head("Transfer-Encoding: chunked", kind=self.kind) + b"".join(chunk(self.frame(one)) for one in events)

    def stream(self, *events: Any, reason: str = "stop", counts: tuple[int, int] | None = (12, 7)) -> bytes:
        """A whole answer."""
        return self.begun(*events, *self.ended(reason, counts)) + chunk(b"")

    def failure(self, status: int, *headers: str, words: str = "planted words") -> bytes:
        return whole(orjson.dumps(self.error(status, words)), *headers, status=f"{status} Failed")

    def denial(self) -> bytes:
        """The answer to a wrong key."""
        return self.failure(401)

    # --- what it was asked -----------------------------------------------------------------------

    def limit(self, body: dict[str, Any]) -> Any:
        """The most tokens that it may answer with."""
        return body["max_tokens"]

    def images(self, body: dict[str, Any]) -> list[str]:
        """As base64."""
        raise NotImplementedError

    def tools(self, body: dict[str, Any]) -> list[str]:
        """The names of those that it may call."""
        raise NotImplementedError

    def results(self, body: dict[str, Any]) -> list[str]:
        """Of tools that were called, as JSON text."""
        raise NotImplementedError
