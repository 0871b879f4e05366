"""GET /.well-known/…: what this service offers to OAuth clients (RFC 8414 and RFC 9728)."""

from __future__ import annotations

from typing import Any

import orjson
from fastapi import APIRouter, Request, Response

from ...security.roles import ENDPOINT_ROLES
from ..context import app_context
from ..public_address import AUTHORIZATION_SERVER, RESOURCE, public_address
from ..schemas import PROBLEM, AuthorizationServer, ProtectedResource

router = APIRouter(tags=["discovery"])
PROOFS = ["client_secret_basic", "client_secret_post"]
NO_HOST: dict[int | str, dict[str, Any]] = {400: {**PROBLEM, "description": "The Host header is no host[:port]."}}
FOR_AN_HOUR = {"Cache-Control": "public, max-age=3600"}


@router.get(
    AUTHORIZATION_SERVER, summary="Where and how clients get tokens", response_model=AuthorizationServer, responses=NO_HOST
)
async def authorization_server(request: Request) -> Response:
    """RFC 8414. `issuer` is the address; tokens name JWT_ISSUER."""
    here = public_address(request)
    document = {
        "issuer": here,
        "token_endpoint": f"{here}/token",
        "scopes_supported": ENDPOINT_ROLES,
        "response_types_supported": [],  # required, though there is no authorization endpoint
        "grant_types_supported": ["client_credentials"],
        "token_endpoint_auth_methods_supported": PROOFS,
        "revocation_endpoint": f"{here}/token/revoke",
        "revocation_endpoint_auth_methods_supported": PROOFS,
        "introspection_endpoint": f"{here}/token/introspect",
        "introspection_endpoint_auth_methods_supported": PROOFS,
    }
    return _answer(request, document, "service_documentation", here)


@router.get(RESOURCE, summary="Which tokens this service takes", response_model=ProtectedResource, responses=NO_HOST)
async def protected_resource(request: Request) -> Response:
    """RFC 9728. A 401 names this address as `resource_metadata`."""
    here = public_address(request)
    document = {
        "resource": here,
        "authorization_servers": [here],
        "scopes_supported": ENDPOINT_ROLES,
        "bearer_methods_supported": ["header"],
        "resource_name": "Secure AI Assistant",
    }
    return _answer(request, document, "resource_documentation", here)


def _answer(request: Request, document: dict[str, Any], documentation: str, here: str) -> Response:
    """What a caller's Host shaped is for this caller alone: the middleware adds `no-store`."""
    settings = app_context(request).services.settings
    if settings.docs_enabled:
        document[documentation] = f"{here}/docs"
    headers = None if settings.public_url is None else FOR_AN_HOUR
    return Response(orjson.dumps(document), media_type="application/json", headers=headers)
