"""A LanguageModel for a test, and a loop to use it in."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from app.assistant.llm import LanguageModel
from app.assistant.models import Completion

T = TypeVar("T")
KEY = "sk-planted-key-0123456789"


def make(
    base_url: str | None, *, key: str = KEY, system: str = "Be {brief}.", cap: int = 1_000_000, name: str = "small-1"
) -> LanguageModel:
    return LanguageModel(
        model=name,
        api_key=key,
        base_url=base_url,
        temperature=0.7,
        max_tokens=1000,
        system_prompt=system,
        max_response_bytes=cap,
    )


def use(model: LanguageModel, work: Callable[[LanguageModel], Awaitable[T]]) -> T:
    async def main() -> T:
        try:
            async with asyncio.timeout(20):
                return await work(model)
        finally:
            await model.aclose()

    return asyncio.run(main())


def ask(model: LanguageModel, query: str = "hi") -> Completion:
    return use(model, lambda model: model.send(model.prepare(query)))
