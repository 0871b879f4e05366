"""Who may administer, in which name a change is recorded, and the body of such a request."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Annotated, Any, TypeVar

import orjson
from fastapi import Depends, Request
from pydantic import BaseModel, ValidationError

from ..admin.known_roles import verify_known
from ..admin.last_admin import RemoteOperator
from ..admin.operator import Author, Operating, Operator
from ..api.bodies import read_json
from ..api.context import app_context, request_context
from ..api.dependencies import DocumentedScheme, Proven, authenticate, verify_role
from ..errors import ConfigError, InvalidRequest, Unavailable
from ..security import roles
from ..security.audit_access import Inquiry
from ..security.models import Principal
from ..security.token_errors import InvalidRoles, InvalidUser

Body = TypeVar("Body", bound=BaseModel)
MAX_BODY_BYTES = 16 * 1024
ALLOW_UNKNOWN = '"allow_unknown_role": true'
POLICY_UNREADABLE = f"The policy file cannot be read now, so roles cannot be looked up in it: mend it, or add {ALLOW_UNKNOWN}."


async def admin(request: Request, _: DocumentedScheme) -> Principal:
    """A principal who may administer. Raises TokenError, RateLimited, InsufficientScope."""
    return verify_role(await authenticate(request, is_read=True), roles.ADMIN)


Admin = Annotated[Principal, Depends(admin)]


async def operating_as(request: Request, principal: Admin) -> Operating:
    """Changes of this service, recorded under the name of *principal*."""
    services, origin = app_context(request).services, request_context(request).origin
    members = {"by": "admin", "address": origin.address, "credential": principal.credential}
    author = Author(principal.user_id, members, origin.request_id)

    @asynccontextmanager
    async def operating(known_roles: Sequence[str] | None = None) -> AsyncIterator[Operator]:
        if known_roles is not None:
            await asyncio.to_thread(verify_roles, known_roles, services.settings.policy_path)
        yield RemoteOperator(services.clients, services.audit, services.events, author)

    return operating


def verify_roles(named: Sequence[str], policy_file: Path | None) -> None:
    """Raises InvalidRequest for a role that opens nothing, Unavailable where nobody can tell."""
    try:
        verify_known(named, policy_file, ALLOW_UNKNOWN)
    except ConfigError as error:
        raise Unavailable(POLICY_UNREADABLE) from error


OperatingDep = Annotated[Operating, Depends(operating_as)]


async def inquiry_of(request: Request, principal: Proven) -> Inquiry:
    origin = request_context(request).origin
    return Inquiry(principal, origin.request_id, origin.address)


InquiryDep = Annotated[Inquiry, Depends(inquiry_of)]


async def read_body_as(request: Request, kind: type[Body]) -> Body:
    """The JSON body. Raises as `read_json`, and InvalidRequest, which repeats no value."""
    document = (await read_json(request, MAX_BODY_BYTES)).document
    try:
        orjson.dumps(document)
    except TypeError:  # neither a record nor a database can hold it
        raise InvalidRequest("The body holds a lone surrogate or a number beyond 64 bits.") from None
    try:
        return kind.model_validate(document)
    except ValidationError as error:
        raise InvalidRequest(_sentence(error.errors(include_input=False, include_url=False)[0], kind)) from None


@contextmanager
def naming_clients() -> Iterator[None]:
    """A name or role that cannot be is one of the body here, not of a token."""
    try:
        yield
    except (InvalidUser, InvalidRoles) as error:
        raise InvalidRequest(error.detail) from None


def _sentence(problem: Any, kind: type[BaseModel]) -> str:
    name = str(next(iter(problem["loc"]), ""))
    if problem["type"] == "extra_forbidden" or not name:
        return f"The body is one JSON object with {' and '.join(kind.model_fields)}, and nothing else."
    if problem["type"] == "missing":
        return f"The member {name} is missing."
    return f"{name}: {str(problem['msg']).removeprefix('Value error, ').lower()}."


def body_schema(kind: type[BaseModel]) -> dict[str, Any]:
    """For `openapi_extra`: the body is read by the last step, after every check of the caller."""
    return {"requestBody": {"required": True, "content": {"application/json": {"schema": kind.model_json_schema()}}}}
