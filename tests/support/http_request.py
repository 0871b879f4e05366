"""A request without a socket: its scope, its body in pieces, and an application that keeps the calls it gets."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any, TypeVar

from fastapi import Request
from starlette.types import Message, Scope

from app.api.context import RequestContext
from app.assistant.models import Origin
from app.limits.held_bytes import HeldBytes

from .caps import CAPS

T = TypeVar("T")
REQUEST_ID = "0123456789abcdef" * 2
ADDRESS = "198.51.100.7"
DISCONNECT: Message = {"type": "http.disconnect"}
SETTINGS = SimpleNamespace(
    asserted_user_header="",
    asserted_user_fields=(),
    docs_enabled=True,
    jwt_audience="audience",
    jwt_issuer="issuer",
    public_url=None,
    rate_limit=60,
)


@dataclass
class FakeApp:
    """Replaces an AppContext and keeps the calls of all its parts, in order. *errors*: raised by the named calls."""

    errors: Mapping[str, Exception] = field(default_factory=dict)
    results: Mapping[str, Any] = field(default_factory=dict)
    calls: list[tuple[Any, ...]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.slot = SimpleNamespace(refused=0)
        self.held = HeldBytes(1_000_000, 1_000_000)
        charges = ("test_address", "charge_address", "charge_question", "charge_read", "charge_token", "charge_asserted")
        self.limits = SimpleNamespace(**{name: self._coroutine(name) for name in charges})
        self.refusals = SimpleNamespace(record=self._record)
        security: Any = _Part(self, "is_front_end")
        for name in ("verify_bearer", "authenticate_client", "grant_token", "introspect", "revoke_credential"):
            setattr(security, name, self._coroutine(name))
        self.services = SimpleNamespace(
            security=security,
            settings=SETTINGS,
            events=SimpleNamespace(event=self._event),
            caps_for=lambda principal: CAPS,
        )
        self.records: list[dict[str, Any]] = []
        self.events: list[tuple[str, dict[str, Any]]] = []

    def answer(self, name: str, *arguments: Any) -> Any:
        self.calls.append((name, *arguments))
        if name in self.errors:
            raise self.errors[name]
        return self.results.get(name)

    def _coroutine(self, name: str) -> Callable[..., Coroutine[Any, Any, Any]]:
        async def work(*arguments: Any, **options: Any) -> Any:
            return self.answer(name, *arguments, *options.values())

        return work

    async def _record(self, **members: Any) -> None:
        self.records.append(members)

    def _event(self, code: str, **members: Any) -> None:
        self.events.append((code, members))


class _Part:
    def __init__(self, app: FakeApp, *names: str) -> None:
        for name in names:
            setattr(self, name, lambda *arguments, name=name: app.answer(name, *arguments))


def scope_of(
    path: str = "/ask",
    headers: Mapping[str, str] | Sequence[tuple[str, str]] = (),
    *,
    method: str = "POST",
    query: str = "",
    app: FakeApp | None = None,
    client: tuple[str, int] | None = (ADDRESS, 50_000),
) -> Scope:
    """Without a context, as a server makes it. An app of None is one that is not open yet."""
    pairs = headers.items() if isinstance(headers, Mapping) else headers
    state = SimpleNamespace() if app is None else SimpleNamespace(context=app)
    return {
        "type": "http",
        "http_version": "1.1",
        "method": method,
        "scheme": "http",
        "path": path,
        "root_path": "",
        "query_string": query.encode(),
        "headers": [(name.lower().encode(), value.encode("latin-1")) for name, value in pairs],
        "client": client,
        "server": ("127.0.0.1", 8000),
        "app": SimpleNamespace(state=state, routes=[], openapi=lambda: {"paths": {}}),
    }


def request_of(
    path: str = "/ask",
    headers: Mapping[str, str] | Sequence[tuple[str, str]] = (),
    *,
    body: Sequence[bytes | Message] = (b"",),
    client_request_id: str | None = None,
    **more: Any,
) -> Request:
    """With a context, as RequestMiddleware makes it. *body*: its pieces, or other messages; then silence."""
    scope = scope_of(path, headers, **more)
    scope["state"] = {"context": RequestContext(Origin(REQUEST_ID, ADDRESS, client_request_id))}
    messages: list[Message] = [
        {"type": "http.request", "body": piece, "more_body": number < len(body)} if isinstance(piece, bytes) else dict(piece)
        for number, piece in enumerate(body, 1)
    ]

    async def receive() -> Message:
        if messages:
            return messages.pop(0)
        await asyncio.Event().wait()
        raise AssertionError("unreachable: the event is never set")

    return Request(scope, receive)


def run(work: Coroutine[Any, Any, T], seconds: float = 10) -> T:
    """The result of *work*, run in its own event loop."""

    async def within() -> T:
        async with asyncio.timeout(seconds):
            return await work

    return asyncio.run(within())
