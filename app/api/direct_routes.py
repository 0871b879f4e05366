"""Serves the endpoints that ask a model without FastAPI's dependency machinery, which costs most.

An endpoint's signature stays the one list of its steps: FastAPI reads it for the documentation and
wherever `dependency_overrides` is set; `steps_of` reads it once, at start, for all other requests.
"""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable
from typing import Any, get_type_hints

from fastapi import FastAPI, Request, Response
from fastapi.params import Depends
from fastapi.routing import APIRoute
from fastapi.security.base import SecurityBase
from starlette.concurrency import run_in_threadpool
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ..errors import AppError
from .error_responses import answer_error

Endpoint = Callable[[Request], Awaitable[Response]]


class Application(FastAPI):
    """FastAPI, but the direct routes have only the middlewares that we added."""

    _direct: DirectRoutes | None = None

    def serve_directly(self, routes: list[APIRoute]) -> None:
        """*routes*: without parameters in their paths, with signatures as `steps_of` wants."""
        self._direct = DirectRoutes(routes)
        self._stack: ASGIApp = self._direct
        for middleware, arguments, options in reversed(self.user_middleware):
            self._stack = middleware(self._stack, *arguments, **options)

    async def prepare(self) -> None:
        """Do now what Starlette and FastAPI do for the first requests: these would wait for it."""
        for route in self.routes:
            route.matches({"type": "http", "method": "GET", "path": "/", "root_path": "", "headers": []})
        await run_in_threadpool(int)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if self._direct is None or not self._direct.serves(scope) or self.dependency_overrides:
            await super().__call__(scope, receive, send)
            return
        scope["app"] = self
        await self._stack(scope, receive, send)


class DirectRoutes:
    """An ASGI application that serves a few endpoints."""

    def __init__(self, routes: list[APIRoute]) -> None:
        self._routes = {
            (method, route.path): (route, steps_of(route.endpoint)) for route in routes for method in route.methods or ()
        }

    def serves(self, scope: Scope) -> bool:
        return scope["type"] == "http" and (scope["method"], scope["path"]) in self._routes and not scope.get("root_path")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        scope["route"], endpoint = self._routes[scope["method"], scope["path"]]
        request, has_begun = Request(scope, receive, send), False

        async def send_on(message: Message) -> None:
            nonlocal has_begun
            has_begun = True
            await send(message)

        try:
            response = await endpoint(request)
            await response(scope, receive, send_on)
        except AppError as error:
            if has_begun:
                raise
            await (await answer_error(request, error))(scope, receive, send)


def steps_of(endpoint: Callable[..., Awaitable[Response]]) -> Endpoint:
    """*endpoint* as a function of the request alone, with the steps of its signature in order.

    A parameter is the Request, a `Depends` on an async function like this one, or a security
    scheme, which serves the documentation and becomes None. Each function is called once a
    request. Raises TypeError for any other parameter.
    """
    places: dict[Any, int] = {Request: 0}  # of each value; None is at 1
    steps: list[tuple[Callable[..., Awaitable[Any]], tuple[int, ...]]] = []

    def place_of(function: Callable[..., Awaitable[Any]]) -> int:
        if function not in places:
            hints = get_type_hints(function, include_extras=True)
            sources = [_source_of(name, hints[name]) for name in inspect.signature(function).parameters]
            steps.append((function, tuple(1 if isinstance(one, SecurityBase) else place_of(one) for one in sources)))
            places[function] = len(steps) + 1
        return places[function]

    place_of(endpoint)

    async def run(request: Request) -> Response:
        values: list[Any] = [request, None]
        for function, arguments in steps:
            values.append(await function(*[values[place] for place in arguments]))
        response: Response = values[-1]
        return response

    return run


def _source_of(name: str, hint: Any) -> Any:
    """Where the value of a parameter comes from: Request, or what its `Depends` names."""
    if hint is Request:
        return hint
    for extra in getattr(hint, "__metadata__", ()):
        if isinstance(extra, Depends) and extra.use_cache and extra.dependency is not None:
            return extra.dependency
    raise TypeError(f"{name} is neither the Request nor a dependency that is cached.")
