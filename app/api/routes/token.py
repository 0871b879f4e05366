"""POST /token: OAuth 2.0 client credentials (RFC 6749, sections 2.3.1, 3.2, 4.4 and 5)."""

from __future__ import annotations

import base64
import binascii
from dataclasses import replace
from typing import Annotated
from urllib.parse import parse_qsl, unquote_plus

import orjson
from fastapi import APIRouter, Depends, Request, Response

from ...security.oauth_errors import InvalidClient, InvalidTokenRequest, UnsupportedGrantType
from ..bodies import read_body
from ..context import address_of, app_context, media_type_of, request_context, set_request_context
from ..http_errors import UnsupportedMediaType
from ..schemas import OAuthErrorBody, TokenResponse

router = APIRouter(tags=["token"])
MAX_FORM_BYTES = 8 * 1024
MAX_FIELDS = 20
FORM_TYPE = "application/x-www-form-urlencoded"
TEXT = {"type": "string"}
FORM_SCHEMA = {
    "type": "object",
    "required": ["grant_type"],
    "properties": {
        "grant_type": {"type": "string", "enum": ["client_credentials"]},
        "scope": {**TEXT, "description": "Roles, separated by spaces; all of the client's if left out."},
        "client_id": {**TEXT, "description": "Unless sent by HTTP Basic."},
        "client_secret": {**TEXT, "format": "password", "description": "Unless sent by HTTP Basic."},
    },
}


async def token_form(request: Request) -> dict[str, str]:
    """The fields of the form that have a value (RFC 6749, section 3.2).

    Raises RateLimited for the address, UnsupportedMediaType, TooLarge, InvalidTokenRequest.
    """
    app_context(request).buckets.test_address(address_of(request))
    if media_type_of(request) != FORM_TYPE:
        raise UnsupportedMediaType(f"Send the form as {FORM_TYPE}.")
    body = await read_body(request, MAX_FORM_BYTES)
    try:
        pairs = parse_qsl(body.decode("ascii"), keep_blank_values=True, errors="strict", max_num_fields=MAX_FIELDS)
    except ValueError:  # not ASCII, broken UTF-8, too many fields
        raise InvalidTokenRequest(f"The body is not a form of at most {MAX_FIELDS} fields.") from None
    fields = dict(pairs)
    if len(fields) != len(pairs):
        raise InvalidTokenRequest("A parameter is sent twice.")
    if any("\x00" in value for value in fields.values()):
        raise InvalidTokenRequest("A parameter holds U+0000.")
    return {name: value for name, value in fields.items() if value}


def credentials(request: Request, fields: dict[str, str]) -> tuple[str, str]:
    """Client id and secret from HTTP Basic or from the body, never both (RFC 6749, section 2.3.1).

    Raises InvalidClient, InvalidTokenRequest.
    """
    headers = request.headers.getlist("authorization")
    if not headers:
        if "client_id" not in fields or "client_secret" not in fields:
            raise InvalidClient("no_credentials")
        return fields["client_id"], fields["client_secret"]
    scheme, _, encoded = headers[0].partition(" ")
    if len(headers) > 1 or scheme.lower() != "basic":
        raise InvalidClient("malformed_credentials")
    if "client_secret" in fields:
        raise InvalidTokenRequest("Send the client's credentials by HTTP Basic or in the body, not both.")
    try:
        decoded = base64.b64decode(encoded.strip(), validate=True).decode()
    except (binascii.Error, UnicodeDecodeError):
        raise InvalidClient("malformed_credentials") from None
    client_id, colon, secret = decoded.partition(":")
    if not colon:
        raise InvalidClient("malformed_credentials")
    client_id, secret = unquote_plus(client_id), unquote_plus(secret)
    if fields.get("client_id", client_id) != client_id:
        raise InvalidTokenRequest("The body names another client than the Authorization header.")
    return client_id, secret


@router.post(
    "/token",
    summary="Exchange a client's credentials for an access token",
    response_model=TokenResponse,
    responses={status: {"model": OAuthErrorBody} for status in (400, 401, 413, 415, 429, 503)},
    openapi_extra={"requestBody": {"required": True, "content": {FORM_TYPE: {"schema": FORM_SCHEMA}}}},
)
async def token(request: Request, fields: Annotated[dict[str, str], Depends(token_form)]) -> Response:
    """A bearer token for POST /ask, valid for `expires_in` seconds."""
    app, context = app_context(request), request_context(request)
    address = address_of(request)
    if "grant_type" not in fields:
        raise InvalidTokenRequest("grant_type is missing: send grant_type=client_credentials.")
    if fields["grant_type"] != "client_credentials":
        raise UnsupportedGrantType()
    try:
        client_id, secret = credentials(request, fields)
        client = await app.services.security.authenticate_client(client_id, secret)
    except InvalidClient:
        app.buckets.charge_address(address)
        raise
    set_request_context(request, replace(context, user_id=client.client_id))
    app.buckets.charge_token(client.client_id)
    issued = await app.services.security.grant_token(
        client, fields.get("scope"), request_id=context.origin.request_id, address=address
    )
    body = {
        "access_token": issued.access_token,
        "token_type": "Bearer",
        "expires_in": issued.expires_in,
        "scope": issued.scope,
    }
    return Response(orjson.dumps(body), media_type="application/json", headers={"Pragma": "no-cache"})
