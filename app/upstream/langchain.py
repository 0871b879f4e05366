"""LangChain: the chain `prompt | model | parser`, over our own connection.

What leans on LangChain's insides is here and in langchain_servers/chat_models.py, on LangSmith's in
tracing.py; the versions are pinned to a minor, and tests/contract/test_library_insides.py says
which inside has changed.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any, NoReturn

import orjson
from langchain_core.callbacks import AsyncCallbackManagerForLLMRun
from langchain_core.language_models import LanguageModelInput
from langchain_core.messages import AIMessageChunk, BaseMessage, SystemMessage
from langchain_core.output_parsers import StrOutputParser
from langchain_core.outputs import ChatGenerationChunk, ChatResult
from langchain_core.prompts import ChatPromptTemplate
from langchain_core.runnables import Runnable
from langchain_openai import ChatOpenAI
from pydantic import Field, SecretStr

from .client import NEWER_NAME
from .errors import Reading
from .model_server import ModelServer
from .protocol.chat import CHAT
from .protocol.stream_reader import read_piece
from .tracing import disable_tracing


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

    upstream: Any = Field(exclude=True, repr=False)

    def _get_request_payload(self, input_: LanguageModelInput, *, stop: list[str] | None = None, **kwargs: Any) -> dict[str, Any]:
        payload: dict[str, Any] = super()._get_request_payload(input_, stop=stop, **kwargs)
        if NEWER_NAME in payload and self.upstream.token_param != NEWER_NAME:
            payload["max_tokens"] = payload.pop(NEWER_NAME)  # every other server knows it
        return payload

    def body_of(
        self, messages: list[BaseMessage], *, stream: bool = False, stop: list[str] | None = None, **kwargs: Any
    ) -> bytes:
        """The bytes that are sent for *messages*."""
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


def open_chain(
    upstream: ModelServer, *, model: str, base_url: str, temperature: float, max_tokens: int, system_prompt: str
) -> tuple[Runnable[dict[str, Any], str], LeanChatOpenAI]:
    """The chain `prompt | model | parser`, and the model in it."""
    disable_tracing()
    system = [SystemMessage(system_prompt)] if system_prompt else []
    chat = LeanChatOpenAI(
        upstream=upstream,
        model=model,
        api_key=SecretStr("held by upstream"),
        base_url=base_url,
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
    return ChatPromptTemplate.from_messages([*system, ("human", "{query}")]) | chat | StrOutputParser(), chat
