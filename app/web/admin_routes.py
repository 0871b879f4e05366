"""How the endpoints of /admin are declared: what they take, answer and may refuse."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import orjson
from fastapi import APIRouter, Response
from pydantic import BaseModel

from ..api.schemas import PROBLEM
from .dependencies import body_schema

Endpoint = TypeVar("Endpoint", bound=Callable[..., Awaitable[Response]])
Declared = Callable[[Endpoint], Endpoint]
router = APIRouter(prefix="/admin", tags=["admin"])
REFUSALS: dict[int | str, dict[str, Any]] = dict.fromkeys((401, 403, 409, 422, 429, 503), PROBLEM)
OF_BODIES = REFUSALS | dict.fromkeys((400, 413, 415), PROBLEM)
DONE: dict[int | str, dict[str, Any]] = {204: {"description": "It is recorded and done."}}


def shown(path: str, summary: str, answer: Any = None) -> Declared[Any]:
    """Something to read. Nothing is recorded."""
    responses: dict[int | str, dict[str, Any]] = dict.fromkeys((401, 403, 422, 429, 503), PROBLEM)
    return router.get(path, summary=summary, response_model=answer, responses=responses)


def changed(path: str, summary: str, body: type[BaseModel] | None = None, answer: Any = None) -> Declared[Any]:
    """A change: its record stands in the log before it is made. *body*: what is sent."""
    extra = None if body is None else body_schema(body)
    responses = REFUSALS if body is None else OF_BODIES
    if answer is not None:
        return router.post(path, summary=summary, response_model=answer, responses=responses, openapi_extra=extra)
    more: dict[str, Any] = {"status_code": 204, "response_class": Response, "response_model": None}
    return router.post(path, summary=summary, responses=responses | DONE, openapi_extra=extra, **more)


def document(body: Any) -> Response:
    return Response(orjson.dumps(body), media_type="application/json")


def done() -> Response:
    return Response(status_code=204)
