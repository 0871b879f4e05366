"""The form of an OAuth request, and the client that it proves (RFC 6749, section 2.3.1)."""

from __future__ import annotations

import base64
from typing import Annotated
from urllib.parse import parse_qsl, unquote_plus

from fastapi import Depends, Request

from ..security.models import Client
from ..security.oauth_errors import InvalidClient, InvalidTokenRequest
from .bodies import read_body, verify_unpacked
from .context import address_of, app_context, change_context, media_type_of
from .http_errors import UnsupportedMediaType

MAX_FORM_BYTES = 8 * 1024
MAX_FIELDS = 20
FORM_TYPE = "application/x-www-form-urlencoded"


async def token_form(request: Request) -> dict[str, str]:
    """The fields of the form that have a value (RFC 6749, section 3.2).

    Raises RateLimited for the address, UnsupportedMediaType, TooLarge, MalformedBody,
    InvalidTokenRequest.
    """
    await app_context(request).limits.test_address(address_of(request))
    if media_type_of(request) != FORM_TYPE:
        raise UnsupportedMediaType(f"Send the form as {FORM_TYPE}.")
    body = await read_body(request, MAX_FORM_BYTES)
    try:
        pairs = parse_qsl(body.decode("ascii"), keep_blank_values=True, errors="strict", max_num_fields=MAX_FIELDS)
    except ValueError:  # not ASCII, broken UTF-8, too many fields
        verify_unpacked(request, body)
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
    except ValueError:  # no base64, not ASCII, no UTF-8
        raise InvalidClient("malformed_credentials") from None
    client_id, colon, secret = decoded.partition(":")
    if not colon:
        raise InvalidClient("malformed_credentials")
    client_id, secret = unquote_plus(client_id), unquote_plus(secret)
    if fields.get("client_id", client_id) != client_id:
        raise InvalidTokenRequest("The body names another client than the Authorization header.")
    return client_id, secret


async def proven_client(request: Request, fields: dict[str, str]) -> Client:
    """The client whose credentials are sent. Raises InvalidClient, InvalidTokenRequest.

    A failed proof is charged to the address, as one of a bearer token is. Raises RateLimited, too.
    """
    app = app_context(request)
    try:
        client = await app.services.security.authenticate_client(*credentials(request, fields))
    except InvalidClient:
        await app.limits.charge_address(address_of(request))
        raise
    change_context(request, user_id=client.client_id)
    return client


TokenForm = Annotated[dict[str, str], Depends(token_form)]
