"""LangChain: the chain `prompt | model | parser`, and the short way beneath it that sends the same bytes."""

from __future__ import annotations

import hashlib
import os
import secrets
from typing import Any, NoReturn

import langsmith
import langsmith.utils
import orjson
from langchain_core.callbacks import AsyncCallbackManagerForLLMRun
from langchain_core.language_models import LanguageModelInput
from langchain_core.messages import BaseMessage, HumanMessage, SystemMessage
from langchain_core.output_parsers import StrOutputParser
from langchain_core.outputs import ChatResult
from langchain_core.prompts import ChatPromptTemplate
from langchain_core.runnables import Runnable
from langchain_openai import ChatOpenAI
from pydantic import Field, SecretStr

from ..errors import InvalidRequest, UpstreamError
from .models import Completion, PreparedCall
from .upstream import OPENAI_URL, Upstream

MAX_RESPONSE_BYTES = 4 * 1024 * 1024


def disable_tracing() -> None:
    """Make sure that no prompt goes to LangSmith, whatever the environment asks for; before or after LangChain's import.

    `LANGSMITH_*` and `LANGCHAIN_*` are taken out of the environment (they also reroute models to a gateway), LangSmith's
    cached copy of them is dropped, and the switch that outranks them is set for this process, in every task.
    """
    for name in [name for name in os.environ if name.startswith(("LANGSMITH_", "LANGCHAIN_"))]:
        del os.environ[name]
    langsmith.utils.get_env_var.cache_clear()  # type: ignore[attr-defined]  # lru_cache hidden by the overloads
    langsmith.configure(enabled=False)


class _NoClient:
    """Stands where ChatOpenAI would build its SDK clients, which follow redirects and read proxies from the environment."""

    def __getattr__(self, name: str) -> NoReturn:
        raise NotImplementedError("This model is asked through ainvoke only: any other way would go past our own connection.")


class LeanChatOpenAI(ChatOpenAI):
    """ChatOpenAI's request payload and result mapping over our own connection: a fifth of the CPU, and our errors.

    Only `ainvoke` reaches the server. A stream falls back to it and yields one chunk.
    """

    upstream: Upstream = Field(exclude=True, repr=False)

    def _get_request_payload(self, input_: LanguageModelInput, *, stop: list[str] | None = None, **kwargs: Any) -> dict[str, Any]:
        payload: dict[str, Any] = super()._get_request_payload(input_, stop=stop, **kwargs)
        if "max_completion_tokens" in payload and not self.upstream.wants_max_completion_tokens:
            payload["max_tokens"] = payload.pop("max_completion_tokens")
        return payload

    async def _agenerate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        body = orjson.dumps(self._get_request_payload(messages, stop=stop, **kwargs))
        _, document = await self.upstream.complete(body, self.model_name)
        try:
            return self._create_chat_result(document)
        except (ValueError, TypeError, LookupError, AttributeError):  # an odd member that only LangChain reads
            raise UpstreamError from None


class LanguageModel:
    """A model behind the OpenAI protocol. Bound to the event loop that sends first, until `aclose`."""

    def __init__(
        self,
        *,
        model: str,
        api_key: str,
        base_url: str | None,
        temperature: float,
        max_tokens: int,
        system_prompt: str,
        max_response_bytes: int = MAX_RESPONSE_BYTES,
    ) -> None:
        """An empty *api_key* sends none; an empty *system_prompt* sends no system message. Raises ConfigError."""
        disable_tracing()
        self.name = model
        self._upstream = Upstream(api_key=api_key, base_url=base_url, max_response_bytes=max_response_bytes)
        system = [SystemMessage(system_prompt)] if system_prompt else []
        chat = LeanChatOpenAI(
            upstream=self._upstream,
            model=model,
            api_key=SecretStr("held by upstream"),
            base_url=base_url or OPENAI_URL,
            temperature=temperature,
            max_completion_tokens=max_tokens,
            max_retries=0,
            use_responses_api=False,
            disable_streaming=True,
            cache=False,
            openai_proxy=None,
            http_socket_options=(),
            client=_NoClient(),
            async_client=_NoClient(),
        )
        prompt = ChatPromptTemplate.from_messages([*system, ("human", "{query}")])
        self.chain: Runnable[dict[str, Any], str] = prompt | chat | StrOutputParser()

        # Only the query changes from call to call, so the bytes around it are made once, by LangChain itself.
        place = secrets.token_hex(16)
        body = orjson.dumps(chat._get_request_payload([*system, HumanMessage(place)]))
        self._before, self._after = body.split(orjson.dumps(place))

    def prepare(self, query: str) -> PreparedCall:
        """The body that `chain` would send for *query*. Raises InvalidRequest if it holds a lone surrogate."""
        try:
            body = self._before + orjson.dumps(query) + self._after
        except orjson.JSONEncodeError:
            raise InvalidRequest("The query is not valid Unicode.") from None
        return PreparedCall(body, hashlib.sha256(body).hexdigest())

    async def send(self, call: PreparedCall) -> Completion:
        """Send exactly those bytes, once. Raises UpstreamError, UpstreamUnavailable (`Upstream.complete`).

        Waits without bound: the caller holds the deadline.
        """
        completion, _ = await self._upstream.complete(call.body, self.name)
        return completion

    async def aclose(self) -> None:
        """Close the connections; a call in flight fails with UpstreamUnavailable."""
        await self._upstream.aclose()
