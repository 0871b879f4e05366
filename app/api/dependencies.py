"""The road before a route, in its order: address, token, principal's bucket, role, and only then the body."""

from __future__ import annotations

from typing import Annotated

from fastapi import Depends, Request
from fastapi.openapi.models import OAuthFlowClientCredentials, OAuthFlows
from fastapi.security import OAuth2

from ..errors import (
    InsufficientScope,
    TokenError,
    TokenMalformed,
    TokenMissing,
)
from ..security import roles
from ..security.models import Principal
from ..wiring.services import Services
from .context import AppContext, address_of

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
    door: AppContext = request.app.state.door
    return door.services


ServicesDep = Annotated[Services, Depends(services_of)]


def authenticate(request: Request) -> Principal:
    """Steps (1) to (3) of the road; the caller's remaining steps are the role and the body."""
    door: AppContext = request.app.state.door
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
