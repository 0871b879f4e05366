"""The user that a request names: in headers, which count from front ends alone, or in its body."""

from __future__ import annotations

from collections.abc import Mapping, Set
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import unquote

from fastapi import Request

from ..assistant.models import Origin
from ..errors import InvalidRequest
from ..security.asserted_user import AssertedUser
from ..security.models import Principal
from .context import app_context, change_context, request_context

CLAUDE_SESSION = "x-claude-code-session-id"
MEMBERS = ("user", "safety_identifier")
METADATA = ("metadata", "user_id")
"""Where Anthropic's protocol has it."""


@dataclass(frozen=True, slots=True)
class UserHeaders:
    """Headers of one kind of front end. Empty: it has none."""

    id: str
    email: str = ""
    name: str = ""


KNOWN_HEADERS = (
    UserHeaders("x-openwebui-user-id", "x-openwebui-user-email", "x-openwebui-user-name"),
    UserHeaders("x-forwarded-user", "x-forwarded-email", "x-forwarded-preferred-username"),
)


def user_in_headers(request: Request, kinds: tuple[UserHeaders, ...], fields: Set[str]) -> AssertedUser | None:
    """Of the first of *kinds* that names one. *fields*: of `email` and `name`, what to take.

    Raises InvalidRequest for a header that is sent twice: one of them may be somebody else's.
    """
    for kind in kinds:
        if request.headers.get(kind.id, "").strip():
            email = _value(request, kind.email) if "email" in fields else None
            name = _value(request, kind.name) if "name" in fields else None
            return AssertedUser.of(_value(request, kind.id), kind.id, email, name)
    return None


def user_in_body(request: Request, members: Any) -> AssertedUser | None:
    """Of the first member that names one; else the session of Claude Code."""
    if not isinstance(members, dict):
        return None
    for name in MEMBERS:
        if user := AssertedUser.of(members.get(name), name):
            return user
    metadata = members.get(METADATA[0])
    named = metadata.get(METADATA[1]) if isinstance(metadata, Mapping) else None
    session = request.headers.get(CLAUDE_SESSION)
    return AssertedUser.of(session, CLAUDE_SESSION) or AssertedUser.of(named, ".".join(METADATA))


def note_user_in_headers(request: Request, principal: Principal) -> AssertedUser | None:
    """Keep for the records the user that a front end names. Raises InvalidRequest."""
    app, context = app_context(request), request_context(request)
    if not app.services.security.is_front_end(principal.client_id):
        return None
    settings = app.services.settings
    own = settings.asserted_user_header
    kinds = (UserHeaders(own.lower()), *KNOWN_HEADERS) if own else KNOWN_HEADERS
    user = user_in_headers(request, kinds, frozenset(settings.asserted_user_fields))
    if user is not None:
        change_context(request, origin=replace(context.origin, asserted_user=user))
    return user


async def origin_with_claims(request: Request, principal: Principal, members: Any, *, is_read: bool = False) -> Origin:
    """The request's origin, with the user that its body names. Call it when the body was read.

    From a front end that named nobody in a header, this is the asserted user. Raises QuotaExceeded
    where they have used up their part. *is_read*: no model is asked, and nothing is charged.
    """
    app, context = app_context(request), request_context(request)
    origin = context.origin
    user = user_in_body(request, members) if origin.asserted_user is None else None
    if user is None:
        return origin
    if not app.services.security.is_front_end(principal.client_id):
        return replace(origin, claimed_user=user)
    origin = replace(origin, asserted_user=user)
    change_context(request, origin=origin, quota=None)  # if refused: with the user's quota
    if not is_read:
        await app.limits.charge_asserted(principal.user_id, user.id, principal.key_limit)
    change_context(request, quota=context.quota)
    return origin


def _value(request: Request, header: str) -> str | None:
    values = request.headers.getlist(header)
    if len(values) > 1:
        raise InvalidRequest(f"The header {header} is sent twice: name one user.")
    if not values:
        return None
    try:
        value = values[0].encode("latin-1").decode()
    except UnicodeDecodeError:
        value = values[0]
    return unquote(value) if header.endswith("-name") else value  # Open WebUI quotes it
