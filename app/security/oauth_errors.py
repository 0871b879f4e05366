"""Errors of the token endpoint (RFC 6749, section 5.2), a branch of the tree in app/errors.py."""

from __future__ import annotations

from ..errors import AppError


class ClientRefused(AppError):
    code = "invalid_request"
    detail = "The token request cannot be used."


class InvalidClient(ClientRefused):
    """*reason* (unknown_client, wrong_secret, …) is for the record. The body never shows it."""

    code = "invalid_client"
    detail = "The client is unknown or its secret is wrong."

    def __init__(self, reason: str = "unknown_client", client_id: str | None = None) -> None:
        super().__init__()
        self.reason = reason
        self.client_id = client_id


class InvalidTokenRequest(ClientRefused):
    code = "invalid_request"


class UnsupportedGrantType(ClientRefused):
    code = "unsupported_grant_type"
    detail = "This endpoint supports the grant client_credentials only."


class InvalidScope(ClientRefused):
    code = "invalid_scope"
    detail = "The scope names a role that this client does not have."
