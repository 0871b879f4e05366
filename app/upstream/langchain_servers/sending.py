"""Whether anything of a question may have left this process when its class fails."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import Any

from langchain_core.language_models import BaseChatModel

from .threads import use_threads


class Sending:
    """A class converts what it is given before it first waits: until then nothing is sent."""

    def __init__(self) -> None:
        self.may_have = True

    def watch(self, model: BaseChatModel) -> None:
        """*model*: a copy for this question alone. Its streams are watched."""
        use_threads(model)
        stream: Any = model._astream

        async def watched(*given: Any, **more: Any) -> AsyncIterator[Any]:
            has_waited = False

            def note() -> None:
                nonlocal has_waited
                has_waited = True

            asyncio.get_running_loop().call_soon(note)
            try:
                async with aclosing(stream(*given, **more)) as pieces:
                    async for piece in pieces:
                        yield piece
            except Exception:  # of whatever kind: only when it came matters, and it goes on as it is
                self.may_have = has_waited
                raise

        vars(model)["_astream"] = watched
