"""LangChain's ChatOpenAI with base URL and token from the environment; on version 3 of OpenAI's SDK."""

from __future__ import annotations

import asyncio
from functools import reduce
from operator import add

from langchain_core.messages import AIMessageChunk, HumanMessage, ToolMessage
from langchain_core.tools import tool
from langchain_openai import ChatOpenAI, OpenAIEmbeddings

from .given import MODEL, PLACE, Place, echo, must_be, must_stream


@tool
def weather(city: str) -> str:
    """The weather in a city."""
    return f"sunny in {city}"


def chat() -> None:
    model = ChatOpenAI(model=MODEL)
    answer = model.invoke("langchain: a chat")
    must_be(answer.content, echo("langchain: a chat"))
    assert answer.usage_metadata is not None, "no usage"
    must_stream([chunk.text for chunk in model.stream("langchain: a stream")], "langchain: a stream")


def stream_with_usage() -> None:
    chunks = list(ChatOpenAI(model=MODEL, stream_usage=True).stream("langchain: a stream with usage"))
    must_stream([chunk.text for chunk in chunks], "langchain: a stream with usage")
    assert any(chunk.usage_metadata for chunk in chunks), "no usage"


def tools() -> None:
    model = ChatOpenAI(model=MODEL).bind_tools([weather])
    question = HumanMessage("langchain: a tool")
    call = model.invoke([question])
    must_be([(one["name"], one["args"]) for one in call.tool_calls], [("weather", {"city": "text"})])
    result: ToolMessage = weather.invoke(call.tool_calls[0])
    must_be(model.invoke([question, call, result]).content, echo("sunny in text"))
    pieces = [piece for piece in model.stream("langchain: a streamed tool") if isinstance(piece, AIMessageChunk)]
    must_be([one["args"] for one in reduce(add, pieces).tool_calls], [{"city": "text"}])


def structured() -> None:
    model = ChatOpenAI(model=MODEL)
    must_be(model.with_structured_output(Place, method="json_schema").invoke("langchain: by a schema"), PLACE)
    must_be(model.with_structured_output(Place, method="function_calling").invoke("langchain: by a function"), PLACE)


async def without_waiting() -> None:
    model = ChatOpenAI(model=MODEL)
    questions = [f"langchain: at once {n}" for n in range(3)]
    must_be([answer.content for answer in await model.abatch(list(questions))], [echo(one) for one in questions])
    must_stream([chunk.text async for chunk in model.astream("langchain: an async stream")], "langchain: an async stream")


def responses() -> None:
    model = ChatOpenAI(model=MODEL, use_responses_api=True)
    must_be(model.invoke("langchain: a response").text, echo("langchain: a response"))
    must_stream([chunk.text for chunk in model.stream("langchain: a streamed response")], "langchain: a streamed response")


def embeddings() -> None:
    first, second = OpenAIEmbeddings(model=MODEL, check_embedding_ctx_length=False).embed_documents(["one", "two"])
    assert first != second, "two texts, one vector"


if __name__ == "__main__":
    chat()
    stream_with_usage()
    tools()
    structured()
    asyncio.run(without_waiting())
    responses()
    embeddings()
