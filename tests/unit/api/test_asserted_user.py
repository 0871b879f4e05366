"""Whose names count: headers from front ends alone, members of a body from everyone, as what they are."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from fastapi import Request

from app.api.asserted_user import (
    CLAUDE_SESSION,
    KNOWN_HEADERS,
    UserHeaders,
    note_user_in_headers,
    origin_with_claims,
    user_in_body,
    user_in_headers,
)
from app.api.context import change_context, request_context
from app.errors import InvalidRequest
from app.limits.quota import Quota, QuotaExceeded
from app.security.asserted_user import AssertedUser
from app.security.models import Principal

from ...support.http_request import FakeApp, request_of, run

PRINCIPAL = Principal("webui", ("ai.playground.user",), "webui", "0" * 32, 2_000_000_000)
OPEN_WEBUI = {"X-OpenWebUI-User-Id": "u1", "X-OpenWebUI-User-Email": "ann@example.com", "X-OpenWebUI-User-Name": "Ann%20%C3%9C"}
BOTH = frozenset({"email", "name"})


def app_with(is_front_end: bool, header: str = "", fields: tuple[str, ...] = (), **errors: Exception) -> FakeApp:
    app = FakeApp(errors, {"is_front_end": is_front_end})
    app.services.settings = SimpleNamespace(asserted_user_header=header, asserted_user_fields=fields)
    return app


def noted(headers: Any, **more: Any) -> AssertedUser | None:
    """The user that the records of a front end's request will name."""
    request = request_of(headers=headers, app=app_with(True, **more))
    user = note_user_in_headers(request, PRINCIPAL)
    assert request_context(request).origin.asserted_user == user
    return user


# --- headers -----------------------------------------------------------------------------------------


def test_the_id_alone_is_taken_unless_the_settings_say_more() -> None:
    assert noted(OPEN_WEBUI) == AssertedUser("u1", "x-openwebui-user-id")
    assert noted(OPEN_WEBUI, fields=("email",)) == AssertedUser("u1", "x-openwebui-user-id", "ann@example.com")
    assert noted(OPEN_WEBUI, fields=("name",)) == AssertedUser("u1", "x-openwebui-user-id", None, "Ann Ü")


@pytest.mark.parametrize(
    ("headers", "user"),
    [
        ({"X-Forwarded-User": "ann"}, AssertedUser("ann", "x-forwarded-user")),
        ({"X-Forwarded-User": "ann", "X-Forwarded-Email": "a@b.c"}, AssertedUser("ann", "x-forwarded-user", "a@b.c")),
        ({"X-Forwarded-User": "ann", **OPEN_WEBUI}, AssertedUser("u1", "x-openwebui-user-id", "ann@example.com", "Ann Ü")),
        ({"X-Forwarded-User": "b\xc3\xa4r"}, AssertedUser("bär", "x-forwarded-user")),
        ({"X-Forwarded-User": "b\xe4r"}, AssertedUser("bär", "x-forwarded-user")),
        ({"X-OpenWebUI-User-Email": "ann@example.com"}, None),
        ({"X-Forwarded-User": " "}, None),
        ({"X-OpenWebUI-User-Id": " ", "X-Forwarded-User": "ann"}, AssertedUser("ann", "x-forwarded-user")),
        ({}, None),
    ],
)
def test_known_headers_name_the_user(headers: dict[str, str], user: AssertedUser | None) -> None:
    assert user_in_headers(request_of(headers=headers), KNOWN_HEADERS, BOTH) == user


def test_a_header_of_the_settings_counts_first() -> None:
    assert noted({"Remote-User": "ann", **OPEN_WEBUI}, header="Remote-User") == AssertedUser("ann", "remote-user")
    assert noted(OPEN_WEBUI, header="Remote-User") == AssertedUser("u1", "x-openwebui-user-id")
    assert noted({"Remote-User": "ann"}) is None


def test_a_header_that_is_sent_twice_names_nobody_for_sure() -> None:
    for headers in ([("X-U", "a"), ("X-U", "a")], [("X-U", "a"), ("x-u", "b")]):
        with pytest.raises(InvalidRequest, match="The header x-u is sent twice"):
            user_in_headers(request_of(headers=headers), (UserHeaders("x-u"),), BOTH)


def test_the_headers_of_any_other_client_are_ignored() -> None:
    request = request_of(headers=[*OPEN_WEBUI.items(), *OPEN_WEBUI.items()], app=app_with(False))
    assert note_user_in_headers(request, PRINCIPAL) is None
    assert request_context(request).origin.asserted_user is None


# --- the body ----------------------------------------------------------------------------------------

BODIES: list[tuple[Any, dict[str, str], AssertedUser | None]] = [
    ({"user": "u1", "safety_identifier": "s1"}, {}, AssertedUser("u1", "user")),
    ({"user": "", "safety_identifier": "s1"}, {}, AssertedUser("s1", "safety_identifier")),
    ({"user": {"id": "u1"}}, {CLAUDE_SESSION: "c1"}, AssertedUser("c1", CLAUDE_SESSION)),
    ({"metadata": {"user_id": "m1"}}, {}, AssertedUser("m1", "metadata.user_id")),
    ({"metadata": {"user_id": "m1"}}, {CLAUDE_SESSION: "c1"}, AssertedUser("c1", CLAUDE_SESSION)),
    ({"metadata": "m1"}, {}, None),
    ({}, OPEN_WEBUI, None),
    ([], {CLAUDE_SESSION: "c1"}, None),
    ("hi", {}, None),
]


@pytest.mark.parametrize(("members", "headers", "user"), BODIES)
def test_the_first_member_that_names_a_user_counts(members: Any, headers: dict[str, str], user: AssertedUser | None) -> None:
    assert user_in_body(request_of(headers=headers), members) == user


def origin_of(request: Request, members: Any) -> tuple[AssertedUser | None, AssertedUser | None]:
    origin = run(origin_with_claims(request, PRINCIPAL, members))
    return origin.asserted_user, origin.claimed_user


def test_a_member_is_a_claim_of_any_client_and_asserted_by_a_front_end() -> None:
    user = AssertedUser("u1", "user")
    app = app_with(False)
    assert origin_of(request_of(app=app), {"user": "u1"}) == (None, user)
    assert app.calls == [("is_front_end", "webui")]
    app = app_with(True)
    request = request_of(app=app)
    assert origin_of(request, {"user": "u1"}) == (user, None)
    assert request_context(request).origin.asserted_user == user, "a refusal names them too"
    assert app.calls == [("is_front_end", "webui"), ("charge_asserted", "webui", "u1", None)]


def test_a_read_is_not_charged_to_a_user() -> None:
    app = app_with(True)
    origin = run(origin_with_claims(request_of(app=app), PRINCIPAL, {"user": "u1"}, is_read=True))
    assert origin.asserted_user is not None
    assert app.calls == [("is_front_end", "webui")]


def test_no_member_replaces_the_user_that_a_header_names() -> None:
    app = app_with(True)
    request = request_of(headers=OPEN_WEBUI, app=app)
    user = note_user_in_headers(request, PRINCIPAL)
    assert origin_of(request, {"user": "another"}) == (user, None)
    assert app.calls == [("is_front_end", "webui")], "their part was charged with the principal"


def test_a_user_of_a_body_who_used_up_their_part_is_refused() -> None:
    app = app_with(True, charge_asserted=QuotaExceeded(Quota(1, 0, 7)))
    request = request_of(app=app)
    change_context(request, quota=Quota(9, 8, 7))
    with pytest.raises(QuotaExceeded):
        origin_of(request, {"user": "u1"})
    assert request_context(request).origin.asserted_user == AssertedUser("u1", "user")
    assert request_context(request).quota is None, "the headers show the user's part alone"


def test_a_body_that_names_nobody_asks_nothing_of_the_service() -> None:
    app = app_with(True)
    assert origin_of(request_of(app=app), {"messages": []}) == (None, None)
    assert app.calls == []
