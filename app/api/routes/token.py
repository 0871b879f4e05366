"""POST /token, /token/revoke and /token/introspect: OAuth 2.0 for clients with a secret.

RFC 6749 (sections 3.2, 4.4 and 5), RFC 7009 and RFC 7662.
"""

from __future__ import annotations

from typing import Any

import orjson
from fastapi import APIRouter, Request, Response

from ...security.oauth_errors import InvalidTokenRequest, UnsupportedGrantType
from ..client_auth import FORM_TYPE, MAX_FIELDS, TokenForm, proven_client
from ..context import address_of, app_context, request_context
from ..schemas import IntrospectionResponse, OAuthErrorBody, TokenResponse, introspection_body

router = APIRouter(tags=["token"])
TEXT = {"type": "string", "pattern": "^[^\\u0000]*$"}
CREDENTIALS = {
    "client_id": {**TEXT, "description": "Unless sent by HTTP Basic."},
    "client_secret": {**TEXT, "format": "password", "description": "Unless sent by HTTP Basic."},
}
GRANT = {
    "grant_type": {"type": "string", "enum": ["client_credentials"]},
    "scope": {**TEXT, "description": "Roles, separated by spaces; all of the client's if left out."},
}
PRESENTED = {
    "token": {**TEXT, "description": "An access token or an API key."},
    "token_type_hint": {**TEXT, "description": "Has no effect: the form of a token and of a key differ."},
}
ERRORS: dict[int | str, dict[str, Any]] = {status: {"model": OAuthErrorBody} for status in (400, 401, 413, 415, 429, 503)}


def _form(required: str, properties: dict[str, Any]) -> dict[str, Any]:
    fields = {"properties": {**properties, **CREDENTIALS}, "additionalProperties": TEXT, "maxProperties": MAX_FIELDS}
    schema = {"type": "object", "required": [required], **fields}
    return {"requestBody": {"required": True, "content": {FORM_TYPE: {"schema": schema}}}}


@router.post(
    "/token",
    summary="Exchange a client's credentials for an access token",
    response_model=TokenResponse,
    responses=ERRORS,
    openapi_extra=_form("grant_type", GRANT),
)
async def token(request: Request, fields: TokenForm) -> Response:
    """A bearer token for POST /ask, valid for `expires_in` seconds."""
    app = app_context(request)
    if "grant_type" not in fields:
        raise InvalidTokenRequest("grant_type is missing: send grant_type=client_credentials.")
    if fields["grant_type"] != "client_credentials":
        raise UnsupportedGrantType()
    client = await proven_client(request, fields)
    await app.limits.charge_token(client.client_id)
    issued = await app.services.security.grant_token(client, fields.get("scope"), **_origin(request))
    body = {
        "access_token": issued.access_token,
        "token_type": "Bearer",
        "expires_in": issued.expires_in,
        "scope": issued.scope,
    }
    return Response(orjson.dumps(body), media_type="application/json", headers={"Pragma": "no-cache"})


@router.post(
    "/token/revoke",
    summary="Revoke an access token or an API key of this client",
    response_model=None,
    response_class=Response,
    responses={200: {"description": "It proves nothing any more, or is not a token or key of this client."}, **ERRORS},
    openapi_extra=_form("token", PRESENTED),
)
async def revoke(request: Request, fields: TokenForm) -> Response:
    """RFC 7009. All workers refuse it within a second.

    The answer does not say whether there was anything to revoke.
    """
    app, client = app_context(request), await proven_client(request, fields)
    await app.limits.charge_token(client.client_id)
    await app.services.security.revoke_credential(client.client_id, _presented(fields), **_origin(request))
    return Response()


@router.post(
    "/token/introspect",
    summary="Whether an access token or an API key is valid, and for what",
    response_model=IntrospectionResponse,
    responses=ERRORS,
    openapi_extra=_form("token", PRESENTED),
)
async def introspect(request: Request, fields: TokenForm) -> Response:
    """RFC 7662. A client learns of its own; with the role ai.token.introspect, of everyone's."""
    app, client = app_context(request), await proven_client(request, fields)
    settings = app.services.settings
    await app.limits.charge_read(client.client_id, client.settings.rpm or settings.rate_limit)
    principal = await app.services.security.introspect(client, _presented(fields))
    return Response(orjson.dumps(introspection_body(principal, settings)), media_type="application/json")


def _presented(fields: dict[str, str]) -> str:
    if "token" not in fields:
        raise InvalidTokenRequest("token is missing: send the access token or the API key in it.")
    return fields["token"]


def _origin(request: Request) -> dict[str, str]:
    return {"request_id": request_context(request).origin.request_id, "address": address_of(request)}
