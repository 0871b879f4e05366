"""A LanguageModel for a test, and a loop to use it in."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from app.upstream.client import Upstream
from app.upstream.completion import Completion
from app.upstream.langchain import LanguageModel
from app.upstream.protocol.chat import CHAT

T = TypeVar("T")
KEY = "sk-planted-key-0123456789"


def make(
    base_url: str | None, *, key: str = KEY, system: str = "Be {brief}.", cap: int = 1_000_000, name: str = "small-1"
) -> LanguageModel:
    return LanguageModel(
        Upstream(api_key=key, base_url=base_url, max_response_bytes=cap),
        model=name,
        base_url=base_url,
        temperature=0.7,
        max_tokens=1000,
        system_prompt=system,
    )


def use(model: LanguageModel, work: Callable[[LanguageModel], Awaitable[T]]) -> T:
    async def main() -> T:
        try:
            async with asyncio.timeout(20):
                return await work(model)
        finally:
            await model.upstream.aclose()

    return asyncio.run(main())


async def send(model: LanguageModel, query: str) -> Completion:
    """What /ask does with a query, without its records."""
    return (await model.upstream.complete(CHAT, model.build_body(query), model.name, wants_text=True)).completion


def ask(model: LanguageModel, query: str = "hi") -> Completion:
    return use(model, lambda model: send(model, query))
