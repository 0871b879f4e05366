"""The steps before a route, in order: credential, address, principal's bucket, role, the body."""

from __future__ import annotations

from typing import Annotated

from fastapi import Depends, Request
from fastapi.openapi.models import OAuthFlowClientCredentials, OAuthFlows
from fastapi.security import OAuth2

from ..errors import InsufficientScope
from ..security import roles
from ..security.models import Principal
from ..security.token_errors import TokenError, TokenMalformed
from ..wiring.services import Services
from .asserted_user import note_user_in_headers
from .context import address_of, app_context, change_context
from .http_errors import TokenMissing

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
"""For the Authorize button of /docs. The token itself is verified by `authenticate`."""
DocumentedScheme = Annotated[str | None, Depends(documented_scheme)]


async def services_of(request: Request) -> Services:  # FastAPI runs a plain def in a thread
    return app_context(request).services


ServicesDep = Annotated[Services, Depends(services_of)]


async def authenticate(request: Request, *, is_read: bool = False) -> Principal:
    """Steps (1) to (3); the caller's remaining steps are the role and the body.

    *is_read*: no model is asked, so the bucket of reads is charged.
    """
    app = app_context(request)
    # (1) The bearer token or API key.
    try:
        principal = await app.services.security.verify_bearer(bearer_token(request))
    except TokenError:
        # (2) Charged to the address: too many? A good credential is not refused for it.
        await app.limits.charge_address(address_of(request))
        raise
    # Before (3), whose refusal is recorded with the user id.
    change_context(request, user_id=principal.user_id, credential=principal.credential)
    # (3) The bucket of this principal, and in it the part of the user that a front end names.
    user = note_user_in_headers(request, principal)
    per_minute = app.services.caps_for(principal).requests_per_minute
    if is_read:
        quota = await app.limits.charge_read(principal.user_id, per_minute, principal.key_limit)
    else:
        asserted = user.id if user is not None else None
        quota = await app.limits.charge_question(principal.user_id, per_minute, principal.key_limit, asserted)
    change_context(request, quota=quota)
    return principal


def bearer_token(request: Request) -> str:
    """The token or key of the one Authorization header (RFC 6750, section 2.1), or of x-api-key.

    Raises TokenMissing, TokenMalformed: also where both headers are sent and differ.

    A token in the query string (section 2.3) ends up in the logs of proxies: it is refused, even
    beside a good header.
    """
    values, keys = request.headers.getlist("authorization"), request.headers.getlist("x-api-key")
    if not values and not keys:
        raise TokenMissing()
    tokens = [_bearer_token(value) for value in values] + keys
    leaked = request["query_string"] and "access_token" in request.query_params
    if len(values) > 1 or len(keys) > 1 or leaked or tokens[0] != tokens[-1] or not tokens[0]:
        raise TokenMalformed()
    return tokens[0]


def _bearer_token(value: str) -> str:
    """Empty if there is none in *value*."""
    scheme, _, token = value.partition(" ")
    return token.strip(" ") if scheme.lower() == "bearer" else ""


def verify_role(principal: Principal, role: str) -> Principal:
    """(4) The role. Raises InsufficientScope."""
    if not principal.has(role):
        raise InsufficientScope(role)
    return principal


async def proven(request: Request, _: DocumentedScheme) -> Principal:
    """A proven principal who reads, whatever the role. Raises TokenError, RateLimited."""
    return await authenticate(request, is_read=True)


Proven = Annotated[Principal, Depends(proven)]


async def auditor(request: Request, _: DocumentedScheme) -> Principal:
    """A principal who may read the whole log. Raises TokenError, RateLimited, InsufficientScope."""
    return verify_role(await authenticate(request, is_read=True), roles.AUDIT_READER)


Auditor = Annotated[Principal, Depends(auditor)]


async def asker(request: Request, _: DocumentedScheme) -> Principal:
    """A principal who may ask. Raises TokenError, RateLimited, InsufficientScope."""
    return verify_role(await authenticate(request), roles.ASK)


Asker = Annotated[Principal, Depends(asker)]


async def reader(request: Request, _: DocumentedScheme) -> Principal:
    """A principal who may ask, and only reads. Raises as `auditor`."""
    return verify_role(await authenticate(request, is_read=True), roles.ASK)


Reader = Annotated[Principal, Depends(reader)]
