"""The connections of chat models: no redirects, no proxies, shared where a class takes ours."""

from __future__ import annotations

import inspect
from typing import Any

from langchain_core.language_models import BaseChatModel

from .vendors import ANTHROPIC, GOOGLE, LONGEST_TIMEOUT, package_of, vendor_of


class Clients:
    """Of one server."""

    def __init__(self) -> None:
        self._shared: dict[str, Any] = {}
        self._own: list[Any] = []

    def give(self, model: BaseChatModel, key: str) -> None:
        """Let *model* ask by a client that is ours to close. *key*: the server's, or nothing."""
        made: Any = model
        package = package_of(type(model))
        if package == ANTHROPIC:
            vars(model)["_async_client"] = self._anthropic(made)
        elif package == GOOGLE and key:
            made.client = self._google(made, key)
        self._own += [client for name in vendor_of(type(model)).clients if (client := getattr(made, name, None))]

    async def aclose(self) -> None:
        shared, self._shared = self._shared, {}
        own, self._own = self._own, []
        for client in [*shared.values(), *own]:
            closing = client.aclose() if hasattr(client, "aclose") else client.close()
            if inspect.isawaitable(closing):
                await closing

    def _anthropic(self, made: Any) -> Any:
        """ChatAnthropic's own is shared by the whole process, so that nobody may close it."""
        if ANTHROPIC not in self._shared:
            from anthropic import AsyncAnthropic, DefaultAsyncHttpxClient  # late: an extra

            http_client = DefaultAsyncHttpxClient(follow_redirects=False, trust_env=False)
            self._shared[ANTHROPIC] = AsyncAnthropic(**made._client_params, http_client=http_client)
        return self._shared[ANTHROPIC]

    def _google(self, made: Any, key: str) -> Any:
        """Its own follows redirects, and is aiohttp's where that is installed."""
        if GOOGLE not in self._shared:
            import httpx  # late: asked for here alone
            from google.genai import Client, types  # late: an extra

            http_client = httpx.AsyncClient(follow_redirects=False, trust_env=False, timeout=LONGEST_TIMEOUT)
            self._shared["its connections"] = http_client
            options = types.HttpOptions(base_url=made.base_url, httpx_async_client=http_client)
            self._shared[GOOGLE] = Client(api_key=key, vertexai=False, http_options=options)
        return self._shared[GOOGLE]
