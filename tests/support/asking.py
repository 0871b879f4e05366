"""A LanguageModel with a loop to use it in, and a fake log for tests of a question's path."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar, cast

from app.assistant.models import Origin
from app.audit.format.record import Receipt
from app.catalogue.models import Server
from app.security.manager import SecurityManager
from app.security.models import Principal
from app.upstream.call import PreparedCall
from app.upstream.client import Upstream
from app.upstream.completion import Completion
from app.upstream.language_model import LanguageModel
from app.upstream.protocol.chat import CHAT
from app.upstream.protocol.endpoint import Endpoint

T = TypeVar("T")
KEY = "sk-planted-key-0123456789"
ORIGIN_ID = "0" * 32
PRINCIPAL = Principal("alice", ("ai.playground.user",), "alice", "1" * 32, 2**40)


def make(
    base_url: str | None, *, key: str = KEY, system: str = "Be {brief}.", cap: int = 1_000_000, name: str = "small-1"
) -> LanguageModel:
    return LanguageModel(
        Upstream(Server("fake", base_url, key), max_response_bytes=cap),
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
    """Send a query as /ask does, without records."""
    return (await model.upstream.complete(CHAT, model.build_body(query), model.name, wants_text=True)).completion


def ask(model: LanguageModel, query: str = "hi") -> Completion:
    return use(model, lambda model: send(model, query))


@dataclass
class FakeLog:
    """Replaces SecurityManager and keeps the records. *broken*: the errors that some actions raise."""

    broken: dict[str, list[Exception]] = field(default_factory=dict)
    records: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    answered: list[tuple[Any, ...]] = field(default_factory=list)
    written: asyncio.Event | None = None
    """If given, every record waits for it."""

    async def log_action(
        self,
        user_id: str | None,
        action: str,
        details: Mapping[str, Any],
        *,
        request_id: str | None = None,
        is_long: bool = False,
    ) -> Receipt:
        assert (user_id, request_id) == (PRINCIPAL.user_id, ORIGIN_ID)
        if self.written is not None:
            await self.written.wait()
        if self.broken.get(action):
            raise self.broken[action].pop(0)
        self.records.append((action, dict(details)))
        return Receipt(len(self.records), "a" * 64)

    def log_answered(self, *arguments: Any) -> None:
        self.answered.append(arguments)

    @property
    def security(self) -> SecurityManager:
        return cast(SecurityManager, self)

    @property
    def actions(self) -> list[str]:
        return [action for action, _ in self.records]


def prepared(
    upstream: Any = None, endpoint: Endpoint = CHAT, *, timeout_seconds: float = 5, stream_timeout_seconds: float = 5, **more: Any
) -> PreparedCall:
    asked, digests = {"query": "hi"}, {"upstream_sha256": "5" * 64}
    return PreparedCall(upstream, endpoint, "alias", b"{}", digests, asked, timeout_seconds, stream_timeout_seconds, **more)


def origin(client_request_id: str | None = None) -> Origin:
    return Origin(ORIGIN_ID, "192.0.2.1", client_request_id)
