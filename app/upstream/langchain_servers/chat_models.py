"""The chat models of one server: made once for each of its models, with its key and address."""

from __future__ import annotations

from langchain_core.language_models import BaseChatModel
from pydantic import ValidationError

from ...catalogue.models import Server
from ...errors import ConfigError
from ..tracing import disable_tracing, forget_proxies
from .clients import Clients
from .providers import load, names_of
from .vendors import vendor_of


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
        vendor = vendor_of(self.kind)
        given = {"api_key": server.api_key or None, "base_url": server.base_url}
        for name, value in given.items():
            if value is not None and name not in self.names:
                key = "api_key_env" if name == "api_key" else name
                raise ConfigError(f"[servers.{server.name}] {key} is nothing that {self.kind.__name__} takes: leave it out.")
        stated = vendor.address if server.api_key or not vendor.with_key else None
        self.address = server.base_url or stated
        own = {**given, "base_url": self.address, "max_retries": 0, "stream_usage": True, "cache": False}
        own = {name: value for name, value in own.items() if value is not None}
        own |= {**vendor.arguments, **(vendor.with_key if server.api_key else {})}
        self._arguments = {name: value for name, value in own.items() if name in self.names}
        self._made: dict[str, BaseChatModel] = {}
        self._clients = Clients()

    def model(self, name: str) -> BaseChatModel:
        """The chat model that asks for the server's model *name*. Raises ConfigError."""
        made = self._made.get(name)
        if made is None:
            try:
                made = self.kind(model=name, **self._arguments)
            except (ValidationError, ValueError, TypeError, ImportError) as error:
                what = f"{self.kind.__name__} cannot be made ({type(error).__name__}): its documentation says what it needs"
                raise ConfigError(f"[servers.{self._server.name}] {what}, such as a key or a region.") from None
            self._clients.give(made, self._server.api_key)
            self._made[name] = made
        return made

    async def aclose(self) -> None:
        self._made.clear()
        await self._clients.aclose()
