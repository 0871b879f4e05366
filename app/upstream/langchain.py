"""LangChain: the chain `prompt | model | parser`, and the short way beneath it that sends the same bytes."""

from __future__ import annotations

import hashlib
import os
import secrets
from collections.abc import AsyncIterator
from typing import Any, NoReturn

import langsmith
import langsmith.utils
import orjson
from langchain_core.callbacks import AsyncCallbackManagerForLLMRun
from langchain_core.language_models import LanguageModelInput
from langchain_core.messages import AIMessageChunk, BaseMessage, HumanMessage, SystemMessage
from langchain_core.output_parsers import StrOutputParser
from langchain_core.outputs import ChatGenerationChunk, ChatResult
from langchain_core.prompts import ChatPromptTemplate
from langchain_core.runnables import Runnable
from langchain_openai import ChatOpenAI
from pydantic import Field, SecretStr

from ..errors import InvalidRequest, UpstreamError
from .call import PreparedCall
from .client import OPENAI_URL, UNREADABLE, Upstream, unusable
from .protocol.chat import CHAT


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
        raise NotImplementedError(
            "This model is asked through ainvoke and astream only: any other way would go past our own connection."
        )


class LeanChatOpenAI(ChatOpenAI):
    """ChatOpenAI's request payload and result mapping over our own connection: a fifth of the CPU, and our errors.

    Only `ainvoke` and `astream` reach the server.
    """

    upstream: Upstream = Field(exclude=True, repr=False)

    def _get_request_payload(self, input_: LanguageModelInput, *, stop: list[str] | None = None, **kwargs: Any) -> dict[str, Any]:
        payload: dict[str, Any] = super()._get_request_payload(input_, stop=stop, **kwargs)
        if "max_completion_tokens" in payload and not self.upstream.wants_max_completion_tokens:
            payload["max_tokens"] = payload.pop("max_completion_tokens")
        return payload

    def body_of(
        self, messages: list[BaseMessage], *, stream: bool = False, stop: list[str] | None = None, **kwargs: Any
    ) -> bytes:
        """The bytes that go out for *messages*, on either way."""
        if stream:
            kwargs |= {"stream": True, **({"stream_options": {"include_usage": True}} if self.upstream.stream_usage else {})}
        return orjson.dumps(self._get_request_payload(messages, stop=stop, **kwargs))

    async def _agenerate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        body = self.body_of(messages, stop=stop, **kwargs)
        raw, document = await self.upstream.complete(CHAT.path, body)
        try:
            if CHAT.read(document, self.model_name).text is None:
                raise TypeError
            return self._create_chat_result(document)
        except UNREADABLE:
            raise unusable(raw) from None

    async def _astream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> AsyncIterator[ChatGenerationChunk]:
        body = self.body_of(messages, stop=stop, stream=True, **kwargs)
        reader = CHAT.reader(self.model_name, wants_usage=False)
        source = await self.upstream.open_stream(CHAT.path, body)
        try:
            while not reader.is_over:
                if (events := await source.read()) is None:
                    reader.end()
                for event in events or ():
                    try:
                        reader.feed(event)
                    except (UpstreamError, *UNREADABLE):
                        raise unusable(event.data) from None
                    if text := reader.text + reader.held_text:
                        yield ChatGenerationChunk(message=AIMessageChunk(content=text))
                    if reader.is_over:
                        break
        except BaseException:
            source.close()
            raise
        source.finish()


class LanguageModel:
    """The model of /ask, behind the OpenAI protocol. Bound to the event loop that sends first."""

    def __init__(
        self,
        upstream: Upstream,
        *,
        model: str,
        alias: str | None = None,
        base_url: str | None = None,
        temperature: float,
        max_tokens: int,
        system_prompt: str,
    ) -> None:
        """*alias*: what callers call it, if not *model*. An empty *system_prompt* sends no system message."""
        disable_tracing()
        self.name = alias or model
        self._upstream = upstream
        system = [SystemMessage(system_prompt)] if system_prompt else []
        chat = LeanChatOpenAI(
            upstream=upstream,
            model=model,
            api_key=SecretStr("held by upstream"),
            base_url=base_url or OPENAI_URL,
            temperature=temperature,
            max_completion_tokens=max_tokens,
            max_retries=0,
            use_responses_api=False,
            stream_usage=False,
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
        messages = [*system, HumanMessage(place)]
        self._around = [chat.body_of(messages, stream=stream).split(orjson.dumps(place)) for stream in (False, True)]

    def prepare(self, query: str, *, stream: bool = False) -> PreparedCall:
        """The body that `chain` would send for *query*. Raises InvalidRequest if it holds a lone surrogate."""
        before, after = self._around[stream]
        try:
            body = before + orjson.dumps(query) + after
        except orjson.JSONEncodeError:
            raise InvalidRequest("The query is not valid Unicode.") from None
        return PreparedCall(
            self._upstream, CHAT, self.name, body, hashlib.sha256(body).hexdigest(), {"query": query}, wants_text=True
        )
