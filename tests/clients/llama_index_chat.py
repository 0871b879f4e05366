"""LlamaIndex's OpenAILike, on version 2 of OpenAI's SDK."""

from __future__ import annotations

import asyncio

from llama_index.core.llms import ChatMessage  # type: ignore[import-not-found] # in an environment of its own
from llama_index.core.prompts import PromptTemplate  # type: ignore[import-not-found]
from llama_index.core.tools import FunctionTool  # type: ignore[import-not-found]
from llama_index.llms.openai_like import OpenAILike  # type: ignore[import-not-found]

from .given import BASE_URL, MODEL, PLACE, TOKEN, Place, echo, must_be, must_stream

model = OpenAILike(model=MODEL, api_base=BASE_URL, api_key=TOKEN, is_chat_model=True, is_function_calling_model=True)


def weather(city: str) -> str:
    """The weather in a city."""
    return f"sunny in {city}"


def chat() -> None:
    must_be(model.chat([ChatMessage(content="llama: a chat")]).message.content, echo("llama: a chat"))
    must_be(model.complete("llama: a completion").text, echo("llama: a completion"))


def streams() -> None:
    pieces = [one.delta or "" for one in model.stream_chat([ChatMessage(content="llama: a chat in a stream")])]
    must_stream(pieces, "llama: a chat in a stream")
    must_stream([one.delta or "" for one in model.stream_complete("llama: a stream")], "llama: a stream")


def tools() -> None:
    answer = model.predict_and_call([FunctionTool.from_defaults(weather)], "llama: a tool")
    must_be([source.content for source in answer.sources], ["sunny in text"])


def structured() -> None:
    must_be(model.structured_predict(Place, PromptTemplate("llama: {what}"), what="a place"), PLACE)


async def without_waiting() -> None:
    must_be((await model.achat([ChatMessage(content="llama: async")])).message.content, echo("llama: async"))
    pieces = [one.delta or "" async for one in await model.astream_complete("llama: an async stream")]
    must_stream(pieces, "llama: an async stream")


if __name__ == "__main__":
    chat()
    streams()
    tools()
    structured()
    asyncio.run(without_waiting())
