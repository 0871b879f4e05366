"""The road before a route, in its order: address, token, principal's bucket, role, and only then the body."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated, Any

from fastapi import Depends, Request
from fastapi.openapi.models import OAuthFlowClientCredentials, OAuthFlows
from fastapi.security import OAuth2
from pydantic import ValidationError
from starlette.requests import ClientDisconnect

from .. import strict_json
from ..assistant.models import Origin, Question
from ..errors import (
    ClientGone,
    InsufficientScope,
    InvalidRequest,
    MalformedJson,
    TokenError,
    TokenMalformed,
    TokenMissing,
    TooLarge,
    UnsupportedMediaType,
)
from ..security import roles
from ..security.models import Principal
from ..wiring import Services
from .schemas import AskRequest
from .state import Door, address_of

MAX_ASK_BYTES = 256 * 1024
"""2,000 code points are at most 24,000 bytes, each escaped as two \\uXXXX; the rest is slack for white space, and room for
a parser's verdict on all that the JSON suite sends."""

LARGE_BYTES = 256 * 1024
"""From here on a body is looked at in a thread, so that others are answered meanwhile."""

MAX_CONTAINERS = 200_000
"""A body of nothing but brackets takes seconds of this process, in which others would wait."""

documented_scheme = OAuth2(
    flows=OAuthFlows(
        clientCredentials=OAuthFlowClientCredentials(
            tokenUrl="token",
            scopes={roles.ASK: "ask questions", roles.AUDIT_READER: "read the audit log"},
        )
    ),
    scheme_name="client_credentials",
    auto_error=False,
)
"""What the Authorize button of /docs reads. The proof itself is made below."""


async def services_of(request: Request) -> Services:  # a plain def would be sent to a thread and back
    door: Door = request.app.state.door
    return door.services


ServicesDep = Annotated[Services, Depends(services_of)]


def authenticate(request: Request) -> Principal:
    """Steps (1) to (3) of the road; the caller's remaining steps are the role and the body."""
    door: Door = request.app.state.door
    address = address_of(request)
    # (1) Too many failed proofs from this address? Tested here, charged only when a proof fails.
    door.buckets.test_address(address)
    # (2) The bearer token.
    try:
        principal = door.services.security.verify_token(bearer_token(request))
    except TokenError:
        door.buckets.charge_address(address)
        raise
    request.state.user_id = principal.user_id
    # (3) The bucket of this principal.
    request.state.quota = door.buckets.charge_principal(principal.user_id)
    return principal


def bearer_token(request: Request) -> str:
    """The token of the one Authorization header (RFC 6750, section 2.1). Raises TokenMissing or TokenMalformed.

    One in the query string (section 2.3) stands in every proxy's log by now: it is refused, even beside a good header.
    """
    values = request.headers.getlist("authorization")
    if not values:
        raise TokenMissing()
    scheme, _, token = values[0].partition(" ")
    leaked = request.url.query and "access_token" in request.query_params
    if len(values) > 1 or leaked or scheme.lower() != "bearer" or not token:
        raise TokenMalformed()
    return token.strip(" ")


async def proven(request: Request, _: Annotated[str | None, Depends(documented_scheme)]) -> Principal:
    """A proven principal, whatever the role. Raises TokenError, RateLimited."""
    return authenticate(request)


Proven = Annotated[Principal, Depends(proven)]


async def auditor(request: Request, _: Annotated[str | None, Depends(documented_scheme)]) -> Principal:
    """A principal who may read the whole log. Raises TokenError, RateLimited, InsufficientScope."""
    principal = authenticate(request)
    request.state.needed_role = roles.AUDIT_READER
    if not principal.has(roles.AUDIT_READER):
        raise InsufficientScope()
    return principal


Auditor = Annotated[Principal, Depends(auditor)]


async def asker(request: Request, _: Annotated[str | None, Depends(documented_scheme)]) -> Principal:
    """A principal who may ask. Raises TokenError, RateLimited, InsufficientScope."""
    principal = authenticate(request)
    # (4) The role.
    request.state.needed_role = roles.ASK
    if not principal.has(roles.ASK):
        raise InsufficientScope()
    return principal


Asker = Annotated[Principal, Depends(asker)]


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
def watched(request: Request) -> Iterator[asyncio.Future[None]]:
    """Done once the caller is gone. To be called after the whole body was read."""

    async def until_hung_up() -> None:
        while (await request.receive())["type"] != "http.disconnect":
            pass

    hung_up = asyncio.create_task(until_hung_up())
    try:
        yield hung_up
    finally:
        hung_up.cancel()


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
