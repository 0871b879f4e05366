"""How the endpoints of /admin are declared: what they take, answer and may refuse."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, Literal, TypeVar

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


class Done(BaseModel):
    """The change is recorded, and made."""

    recorded: Literal[True] = True


def shown(path: str, summary: str, answer: Any = None) -> Declared[Any]:
    """Something to read. Nothing is recorded."""
    responses: dict[int | str, dict[str, Any]] = dict.fromkeys((401, 403, 422, 429, 503), PROBLEM)
    return router.get(path, summary=summary, response_model=answer, responses=responses)


def changed(path: str, summary: str, body: type[BaseModel] | None = None, answer: type[BaseModel] = Done) -> Declared[Any]:
    """A change: its record stands in the log before it is made. *body*: what is sent."""
    extra = None if body is None else body_schema(body)
    responses = REFUSALS if body is None else OF_BODIES
    return router.post(path, summary=summary, response_model=answer, responses=responses, openapi_extra=extra)


def document(body: Any) -> Response:
    return Response(orjson.dumps(body), media_type="application/json")


def done() -> Response:
    return document({"recorded": True})
