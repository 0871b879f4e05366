"""The body of a request: read within its limits and parsed once, after the caller is proven."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated, Any

from fastapi import Depends, Request
from pydantic import ValidationError
from starlette.requests import ClientDisconnect

from ..assistant.models import Origin, Question
from ..errors import ClientGone, InvalidRequest, MalformedJson, TooLarge, UnsupportedMediaType
from ..kit import strict_json
from .context import address_of
from .dependencies import Asker
from .schemas import AskRequest

MAX_ASK_BYTES = 256 * 1024
"""2,000 code points are at most 24,000 bytes, each escaped as two \\uXXXX; the rest is slack for white space, and room for
a parser's verdict on all that the JSON suite sends."""


LARGE_BYTES = 256 * 1024
"""From here on a body is looked at in a thread, so that others are answered meanwhile."""


MAX_CONTAINERS = 200_000
"""A body of nothing but brackets takes seconds of this process, in which others would wait."""


async def read_json(request: Request, limit: int) -> Any:
    """(5) The body, read and parsed only now. Raises UnsupportedMediaType, TooLarge, MalformedJson, ClientGone."""
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media_type != "application/json":
        raise UnsupportedMediaType()
    body = await read_body(request, limit)
    request.state.is_large = len(body) >= LARGE_BYTES
    if request.state.is_large and body.count(b"[") + body.count(b"{") > MAX_CONTAINERS:
        raise TooLarge(f"The body holds more than {MAX_CONTAINERS} lists and objects (or brackets in its texts).")
    try:
        return await asyncio.to_thread(strict_json.parse, body) if request.state.is_large else strict_json.parse(body)
    except ValueError as error:
        raise MalformedJson(f"The body is not one JSON document: {error}.") from None


async def asked_question(request: Request, _: Asker) -> Question:
    """What /ask is asked. Raises as `read_json`, and InvalidRequest."""
    members = await read_json(request, MAX_ASK_BYTES)
    try:
        query = AskRequest.model_validate(members).query
    except ValidationError as error:
        raise InvalidRequest(_sentence(error)) from None
    return Question(query, origin_of(request))


def origin_of(request: Request) -> Origin:
    state = request.state
    return Origin(state.request_id, address_of(request), state.client_request_id)


AskedQuestion = Annotated[Question, Depends(asked_question)]


async def read_body(request: Request, limit: int) -> bytes:
    """The whole body, at most *limit* bytes. Raises TooLarge as soon as that is known."""
    declared = request.headers.get("content-length", "0")
    if declared.isdecimal() and int(declared[:20]) > limit:
        raise TooLarge(f"The body is larger than the {limit} bytes that this endpoint takes.")
    pieces, size = [], 0
    try:
        async for piece in request.stream():
            size += len(piece)
            if size > limit:
                raise TooLarge(f"The body is larger than the {limit} bytes that this endpoint takes.")
            pieces.append(piece)
    except ClientDisconnect:
        raise ClientGone() from None
    request.state.body_read = True
    return b"".join(pieces)


@contextmanager
def disconnect_watch(request: Request) -> Iterator[asyncio.Future[None]]:
    """Done once the caller is gone. To be called after the whole body was read."""

    async def until_disconnected() -> None:
        while (await request.receive())["type"] != "http.disconnect":
            pass

    disconnected = asyncio.create_task(until_disconnected())
    try:
        yield disconnected
    finally:
        disconnected.cancel()


def _sentence(error: ValidationError) -> str:
    """What is wrong with the members, without repeating a piece of them."""
    problem = error.errors(include_input=False, include_url=False)[0]
    kind = problem["type"]
    if not problem["loc"]:
        return 'Send one JSON object: {"query": "…"}.'
    if kind == "missing":
        return "The member query is missing."
    if kind == "extra_forbidden":
        return "The only member is query."
    reasons = {
        "string_type": "is not a string",
        "string_unicode": "holds a lone surrogate",
        "string_too_short": "is empty",
        "string_too_long": "is longer than 2,000 characters",
    }
    return f"The query {reasons.get(kind, str(problem['msg']).removeprefix('Value error, '))}."
