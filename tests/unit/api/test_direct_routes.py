"""A function's signature as the list of its steps."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Annotated, Any

import pytest
from fastapi import APIRouter, Depends, FastAPI, Request, Response
from fastapi.routing import APIRoute
from fastapi.security import OAuth2
from pydantic import TypeAdapter

from app.api.direct_routes import Application, steps_of
from app.errors import NotFound

from ...support.http_request import run, scope_of

CALLS: list[str] = []


async def first(request: Request, scheme: Annotated[str | None, Depends(OAuth2(auto_error=False))]) -> str:
    CALLS.append("first")
    return f"{request.url.path}, {scheme}"


First = Annotated[str, Depends(first)]


async def second(one: First) -> str:
    CALLS.append("second")
    return f"<{one}>"


async def endpoint(two: Annotated[str, Depends(second)], one: First, request: Request) -> Response:
    CALLS.append("endpoint")
    return Response(f"{two} {one} {request.method}")


async def replaced() -> str:
    return "replaced"


def asked(application: FastAPI, path: str = "/here", method: str = "POST", **more: Any) -> list[Any]:
    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    async def receive() -> Any:
        return {"type": "http.request", "body": b""}

    run(application({**scope_of(path, method=method), **more}, receive, send))
    return sent


def application_of(function: Callable[..., Awaitable[Response]] = endpoint) -> FastAPI:
    application = Application()
    application.post("/here", response_model=None)(function)
    routes = [route for route in application.routes if isinstance(route, APIRoute)]
    application.serve_directly(routes)
    return application


def test_each_step_is_taken_once_and_in_the_order_of_the_signature() -> None:
    CALLS.clear()
    assert asked(application_of())[1]["body"] == b"</here, None> /here, None POST"
    assert CALLS == ["first", "second", "endpoint"]


def test_an_overridden_dependency_is_obeyed() -> None:
    application = application_of()
    application.dependency_overrides[first] = replaced
    assert asked(application)[1]["body"] == b"<replaced> replaced POST"


@pytest.mark.parametrize(("path", "method", "status"), [("/here", "GET", 405), ("/there", "POST", 404)])
def test_what_it_does_not_serve_is_fastapis(path: str, method: str, status: int) -> None:
    assert asked(application_of(), path, method)[0]["status"] == status


def test_beneath_a_prefix_the_router_finds_the_route() -> None:
    assert asked(application_of(), "/prefix/here", root_path="/prefix")[0]["status"] == 200


class Failing(Response):
    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        raise NotFound


async def failing() -> Response:
    return Failing()


def test_an_error_in_a_response_that_has_begun_ends_it_there() -> None:
    with pytest.raises(NotFound):
        asked(application_of(failing))


async def with_a_query(name: str) -> str:
    return name


async def not_cached(one: Annotated[str, Depends(first, use_cache=False)]) -> str:
    return one


@pytest.mark.parametrize("function", [with_a_query, not_cached])
def test_a_signature_that_needs_fastapi_is_refused_at_the_start(function: Callable[..., Awaitable[Any]]) -> None:
    with pytest.raises(TypeError, match="neither the Request nor a dependency"):
        steps_of(function)


@pytest.mark.parametrize("is_prepared", [True, False])
def test_what_fastapi_does_for_a_first_request_is_done_before_it(monkeypatch: pytest.MonkeyPatch, *, is_prepared: bool) -> None:
    router, application, made = APIRouter(), Application(), list[Any]()
    router.get("/twice/{number}")(twice)
    application.include_router(router)
    if is_prepared:
        run(application.prepare())
    usual = TypeAdapter.__init__

    def make(self: Any, *arguments: Any, **options: Any) -> None:
        made.append(self)
        usual(self, *arguments, **options)

    monkeypatch.setattr(TypeAdapter, "__init__", make)
    assert [one["body"] for one in asked(application, "/twice/21", "GET") if "body" in one] == [b"42"]
    assert (not made) == is_prepared


async def twice(number: int) -> int:
    return 2 * number
