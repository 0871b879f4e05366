"""LangChain: the chain `prompt | model | parser`, and a shorter path that sends the same bytes.

Everything that leans on LangChain's or LangSmith's insides is in this file; the versions are pinned
to a minor, and tests/contract/test_library_insides.py says which inside has changed.
"""

from __future__ import annotations

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

from ..errors import InvalidRequest
from .client import NEWER_NAME, OPENAI_URL, Upstream
from .errors import Reading
from .protocol.chat import CHAT
from .protocol.stream_reader import read_piece


def disable_tracing() -> None:
    """Make sure that no prompt goes to LangSmith, whatever the environment says.

    Works before and after LangChain's import. `LANGSMITH_*` and `LANGCHAIN_*`, which can also
    reroute models to a gateway, are removed from the environment; LangSmith's cached copy is
    dropped; and the switch that outranks them is set for this process.
    """
    for name in [name for name in os.environ if name.startswith(("LANGSMITH_", "LANGCHAIN_"))]:
        del os.environ[name]
    langsmith.utils.get_env_var.cache_clear()  # type: ignore[attr-defined]  # lru_cache hidden by the overloads
    langsmith.configure(enabled=False)


class _NoClient:
    """Replaces ChatOpenAI's SDK clients, which follow redirects and the environment's proxies.

    Any use of them is refused, for good.
    """

    def __getattr__(self, name: str) -> NoReturn:
        raise NotImplementedError("Use ainvoke or astream: every other method would bypass this service's own connection.")


class LeanChatOpenAI(ChatOpenAI):
    """ChatOpenAI's request and result mapping over our own connection: a fifth of the CPU.

    Only `ainvoke` and `astream` reach the server. They raise as `Upstream.complete`.
    """

    upstream: Upstream = Field(exclude=True, repr=False)

    def _get_request_payload(self, input_: LanguageModelInput, *, stop: list[str] | None = None, **kwargs: Any) -> dict[str, Any]:
        payload: dict[str, Any] = super()._get_request_payload(input_, stop=stop, **kwargs)
        if NEWER_NAME in payload and self.upstream.token_param != NEWER_NAME:
            payload["max_tokens"] = payload.pop(NEWER_NAME)  # every other server knows it
        return payload

    def body_of(
        self, messages: list[BaseMessage], *, stream: bool = False, stop: list[str] | None = None, **kwargs: Any
    ) -> bytes:
        """The bytes that are sent for *messages*, by the chain and by the shorter path alike."""
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
        reply = await self.upstream.complete(CHAT, body, self.model_name, wants_text=True)
        with Reading(reply.raw):
            return self._create_chat_result(reply.document)

    async def _astream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> AsyncIterator[ChatGenerationChunk]:
        body = self.body_of(messages, stop=stop, stream=True, **kwargs)
        reader = CHAT.reader(self.model_name, wants_usage=False)
        source = await self.upstream.open_stream(CHAT, body)
        try:
            while not reader.is_over:
                if (events := await source.read()) is None:
                    reader.end()
                for event in events or ():
                    piece = read_piece(reader, [event])
                    if piece.error:
                        raise piece.error
                    if piece.text:
                        yield ChatGenerationChunk(message=AIMessageChunk(content=piece.text))
                    if reader.is_over:
                        break
            if reader.held_text:
                yield ChatGenerationChunk(message=AIMessageChunk(content=reader.held_text))
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
        """*alias*: the name that callers use, if not *model*.

        An empty *system_prompt* sends no system message.
        """
        disable_tracing()
        self.name = alias or model
        self.upstream = upstream
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

        # Only the query changes between calls, so LangChain makes the bytes around it only once.
        placeholder = secrets.token_hex(16)
        messages = [*system, HumanMessage(placeholder)]
        self._around = [chat.body_of(messages, stream=stream).split(orjson.dumps(placeholder)) for stream in (False, True)]

    def build_body(self, query: str, *, stream: bool = False) -> bytes:
        """The body that `chain` sends for *query*. Raises InvalidRequest for a lone surrogate."""
        before, after = self._around[stream]
        try:
            return before + orjson.dumps(query) + after
        except orjson.JSONEncodeError:
            raise InvalidRequest("The query is not valid Unicode.") from None
