"""The chat models of one server: made once for each of its models, with its key and address."""

from __future__ import annotations

from typing import Any

from langchain_core.language_models import BaseChatModel
from pydantic import ValidationError

from ...catalogue.models import Server
from ...errors import ConfigError
from ..tracing import disable_tracing, forget_proxies
from .providers import load, names_of

ANTHROPIC = "langchain_anthropic"
ADDRESSES = {ANTHROPIC: "https://api.anthropic.com"}
"""Where servers without a `base_url` are: stated, so that no variable of the SDK's decides it."""


class ChatModels:
    """Of one server. They share a connection pool where we make it."""

    def __init__(self, server: Server) -> None:
        """Imports the class. Raises ConfigError, also for a key or an address that it lacks."""
        assert server.langchain is not None
        disable_tracing()
        forget_proxies()
        self.kind = load(server.name, server.langchain)
        self.names = names_of(self.kind)
        self._server = server
        self._package = self.kind.__module__.partition(".")[0]
        given = {"api_key": server.api_key or None, "base_url": server.base_url}
        for name, value in given.items():
            if value is not None and name not in self.names:
                key = "api_key_env" if name == "api_key" else name
                raise ConfigError(f"[servers.{server.name}] {key} is nothing that {self.kind.__name__} takes: leave it out.")
        self.address = server.base_url or ADDRESSES.get(self._package)
        own = {**given, "base_url": self.address, "max_retries": 0, "stream_usage": True, "cache": False}
        self._arguments = {name: value for name, value in own.items() if value is not None and name in self.names}
        self._made: dict[str, BaseChatModel] = {}
        self._client: Any = None

    def model(self, name: str) -> BaseChatModel:
        """The chat model that asks for the server's model *name*. Raises ConfigError."""
        made = self._made.get(name)
        if made is None:
            try:
                made = self.kind(model=name, **self._arguments)
            except (ValidationError, ValueError, TypeError, ImportError) as error:
                what = f"{self.kind.__name__} cannot be made ({type(error).__name__}): its documentation says what it needs"
                raise ConfigError(f"[servers.{self._server.name}] {what}, such as a key or a region.") from None
            if self._package == ANTHROPIC:
                vars(made)["_async_client"] = self._anthropic_client(made)
            self._made[name] = made
        return made

    def _anthropic_client(self, made: Any) -> Any:
        """One for all models, without redirects and proxies. ChatAnthropic's own is shared by the
        whole process, so that nobody may close it."""
        if self._client is None:
            from anthropic import AsyncAnthropic, DefaultAsyncHttpxClient  # late: an extra

            http_client = DefaultAsyncHttpxClient(follow_redirects=False, trust_env=False)
            self._client = AsyncAnthropic(**made._client_params, http_client=http_client)
        return self._client

    async def aclose(self) -> None:
        client, self._client = self._client, None
        self._made.clear()
        if client is not None:
            await client.close()
