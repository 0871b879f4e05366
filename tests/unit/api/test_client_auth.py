"""What an OAuth request may be: its form, the client's credentials in one place, and the client that they prove."""

from __future__ import annotations

import base64
from datetime import UTC, datetime

import pytest

from app.api.client_auth import MAX_FIELDS, MAX_FORM_BYTES, credentials, proven_client, token_form
from app.api.context import request_context
from app.api.http_errors import TooLarge, UnsupportedMediaType
from app.errors import RateLimited
from app.security.models import Client
from app.security.oauth_errors import InvalidClient, InvalidTokenRequest

from ...support.http_request import ADDRESS, DISCONNECT, FakeApp, request_of, run

FORM = {"content-type": "application/x-www-form-urlencoded"}


def fields_of(body: bytes, app: FakeApp | None = None, headers: dict[str, str] = FORM) -> dict[str, str]:
    return run(token_form(request_of("/token", headers, body=[body], app=app or FakeApp())))


def basic(text: str) -> str:
    return "Basic " + base64.b64encode(text.encode()).decode()


# --- the form ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("body", "fields"),
    [
        (b"", {}),
        (b"a=1&b=", {"a": "1"}),
        (b"a=1%20+2&%C3%A9=%C3%A9", {"a": "1  2", "é": "é"}),
        (b"&".join(b"f%d=1" % number for number in range(MAX_FIELDS)), {f"f{number}": "1" for number in range(MAX_FIELDS)}),
    ],
)
def test_a_form_is_its_fields_that_have_a_value(body: bytes, fields: dict[str, str]) -> None:
    app = FakeApp()
    assert fields_of(body, app) == fields
    assert app.calls == [("test_address", ADDRESS)]


NO_FORM = "The body is not a form of at most 20 fields."


@pytest.mark.parametrize(
    ("body", "sentence"),
    [
        (b"a=1&a=2", "A parameter is sent twice."),
        (b"a=&a=1", "A parameter is sent twice."),
        (b"a=%00", "A parameter holds U+0000."),
        (b"a=\xff", NO_FORM),
        (b"a=%FF", NO_FORM),
        (b"&".join(b"f%d=1" % number for number in range(MAX_FIELDS + 1)), NO_FORM),
    ],
)
def test_a_form_that_says_two_things_or_nothing_readable_is_refused(body: bytes, sentence: str) -> None:
    with pytest.raises(InvalidTokenRequest) as refused:
        fields_of(body)
    assert refused.value.detail == sentence


def test_a_body_is_read_only_as_a_form_and_only_so_far() -> None:
    with pytest.raises(UnsupportedMediaType, match=r"^Send the form as application/x-www-form-urlencoded\.$"):
        fields_of(b"{}", headers={"content-type": "application/json"})
    assert fields_of(b"a=1", headers={"content-type": "Application/X-WWW-Form-Urlencoded; charset=utf-8"}) == {"a": "1"}
    with pytest.raises(TooLarge):
        fields_of(b"a=" + b"1" * MAX_FORM_BYTES)


def test_a_failing_address_is_refused_before_its_body_is_read() -> None:
    app = FakeApp({"test_address": RateLimited(retry_after=7)})
    with pytest.raises(RateLimited):
        run(token_form(request_of("/token", FORM, body=[DISCONNECT], app=app)))


# --- the credentials ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("header", "fields"),
    [
        (None, {"client_id": "alice", "client_secret": "s:1"}),
        (basic("alice:s:1"), {}),
        (basic("alice:s:1").replace("Basic", "bAsIc"), {"client_id": "alice"}),
        (basic("%61lice:s%3A1"), {}),
        (basic("alice:s:1").replace(" ", "   "), {}),
    ],
)
def test_credentials_come_by_basic_or_in_the_body(header: str | None, fields: dict[str, str]) -> None:
    headers = {} if header is None else {"Authorization": header}
    assert credentials(request_of("/token", headers), fields) == ("alice", "s:1")


@pytest.mark.parametrize(
    ("header", "reason"),
    [
        (None, "no_credentials"),
        ("Bearer x", "malformed_credentials"),
        ("Basic", "malformed_credentials"),
        ("Basic !!!", "malformed_credentials"),
        ("Basic YWxpY2U6\xe4", "malformed_credentials"),
        ("Basic " + base64.b64encode(b"\xff:s").decode(), "malformed_credentials"),
        (basic("no colon"), "malformed_credentials"),
    ],
)
def test_credentials_that_cannot_be_read_are_an_invalid_client(header: str | None, reason: str) -> None:
    headers = {} if header is None else {"Authorization": header}
    with pytest.raises(InvalidClient) as refused:
        credentials(request_of("/token", headers), {"client_id": "alice"})
    assert (refused.value.reason, refused.value.client_id) == (reason, None)


def test_two_authorization_headers_are_an_invalid_client() -> None:
    with pytest.raises(InvalidClient) as refused:
        credentials(request_of("/token", [("Authorization", basic("a:b")), ("Authorization", basic("a:b"))]), {})
    assert refused.value.reason == "malformed_credentials"


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({"client_secret": "s"}, "Send the client's credentials by HTTP Basic or in the body, not both."),
        ({"client_id": "bob"}, "The body names another client than the Authorization header."),
    ],
)
def test_credentials_that_contradict_each_other_are_an_invalid_request(fields: dict[str, str], sentence: str) -> None:
    with pytest.raises(InvalidTokenRequest) as refused:
        credentials(request_of("/token", {"Authorization": basic("alice:s")}), fields)
    assert refused.value.detail == sentence


# --- the client --------------------------------------------------------------------------------------


def test_a_proven_client_stands_in_the_context_for_the_record() -> None:
    client = Client("alice", ("a.role",), False, datetime.now(UTC))
    app = FakeApp(results={"authenticate_client": client})
    request = request_of("/token", {"Authorization": basic("alice:s:1")}, app=app)
    assert run(proven_client(request, {})) is client
    assert request_context(request).user_id == "alice"
    assert app.calls == [("authenticate_client", "alice", "s:1")]


@pytest.mark.parametrize("fields", [{}, {"client_id": "alice", "client_secret": "wrong"}])
def test_a_failed_proof_is_charged_to_the_address(fields: dict[str, str]) -> None:
    app = FakeApp({"authenticate_client": InvalidClient("wrong_secret", "alice")})
    request = request_of("/token", app=app)
    with pytest.raises(InvalidClient):
        run(proven_client(request, fields))
    assert app.calls[-1] == ("charge_address", ADDRESS)
    assert request_context(request).user_id is None
