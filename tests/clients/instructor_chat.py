"""instructor: answers as pydantic models, by tools and by JSON schema, also streamed and async."""

from __future__ import annotations

import asyncio

import instructor  # type: ignore[import-not-found] # in an environment of its own
from instructor import Mode
from openai import AsyncOpenAI, OpenAI
from openai.types.chat import ChatCompletionUserMessageParam

from .given import BASE_URL, MODEL, PLACE, TOKEN, Place, echo, must_be, must_stream

MODES = (Mode.TOOLS, Mode.JSON_SCHEMA)
upstream, asynchronous = OpenAI(base_url=BASE_URL, api_key=TOKEN), AsyncOpenAI(base_url=BASE_URL, api_key=TOKEN)


def user(text: str) -> list[ChatCompletionUserMessageParam]:
    return [{"role": "user", "content": text}]


def chat() -> None:
    client = instructor.from_openai(upstream)
    answer = client.chat.completions.create(model=MODEL, response_model=None, messages=user("instructor: a chat"))
    must_be(answer.choices[0].message.content, echo("instructor: a chat"))
    stream = client.chat.completions.create(model=MODEL, response_model=None, messages=user("instructor: a stream"), stream=True)
    must_stream([chunk.choices[0].delta.content or "" for chunk in stream if chunk.choices], "instructor: a stream")


def models(mode: Mode) -> None:
    client = instructor.from_openai(upstream, mode=mode)
    asked = {"model": MODEL, "response_model": Place, "max_retries": 0}
    place, completion = client.chat.completions.create_with_completion(**asked, messages=user(f"instructor: {mode}"))
    must_be(place.model_dump(), PLACE.model_dump())  # its own class, derived from ours
    assert completion.usage.total_tokens > 0, "no usage"
    partial = list(client.chat.completions.create_partial(**asked, messages=user(f"instructor: {mode}, streamed")))
    must_be(partial[-1].model_dump(), PLACE.model_dump())


async def without_waiting(mode: Mode) -> None:
    client = instructor.from_openai(asynchronous, mode=mode)
    asked = {"model": MODEL, "response_model": Place, "max_retries": 0}
    place = await client.chat.completions.create(**asked, messages=user(f"instructor: {mode}, async"))
    must_be(place.model_dump(), PLACE.model_dump())


async def all_without_waiting() -> None:
    await asyncio.gather(*(without_waiting(mode) for mode in MODES))


if __name__ == "__main__":
    chat()
    for each in MODES:
        models(each)
    asyncio.run(all_without_waiting())
