"""POST /token: OAuth 2.0 client credentials as in RFC 6749 and as sent by curl."""

from __future__ import annotations

import base64
import hashlib
import json
import shutil
import subprocess
import time
from pathlib import Path
from typing import Any

import httpx
import pytest

from ..support.calls import FORM, challenge, check_oauth_error, records_of, refusal
from ..support.fake_openai import FakeOpenAI
from ..support.optional import leave_out
from ..support.service import HTTP, Service
from ..support.waiting import eventually

ASK, READ = "ai.playground.user", "ai.audit.reader"


@pytest.fixture(scope="module")
def secret(service: Service) -> str:
    """The secret of client `both`, which has two roles."""
    return str(service.cli("clients", "add", "both", "--role", ASK, "--role", READ)["client_secret"])


def post(service: Service, form: dict[str, Any] | None = None, **more: Any) -> httpx.Response:
    return HTTP.post(service.url + "/token", data=FORM if form is None else form, timeout=30, **more)


def claims_of(token: str) -> dict[str, Any]:
    return dict(json.loads(base64.urlsafe_b64decode(token.split(".")[1] + "==")))


def basic(client_id: str, secret: str) -> dict[str, str]:
    return {"Authorization": "Basic " + base64.b64encode(f"{client_id}:{secret}".encode()).decode()}


def percent_encoded(text: str) -> str:
    return "".join(f"%{byte:02x}" for byte in text.encode())


# --- granted -----------------------------------------------------------------------------------------


def check_granted(service: Service, response: httpx.Response, roles: list[str], user_id: str = "both") -> None:
    """The response of RFC 6749, section 5.1, and its record."""
    body = response.json()
    assert response.status_code == 200, body
    assert list(body) == ["access_token", "token_type", "expires_in", "scope"]
    assert (body["token_type"], body["expires_in"], body["scope"]) == ("Bearer", 3600, " ".join(roles))
    assert response.headers["content-type"] == "application/json"
    assert (response.headers["cache-control"], response.headers["pragma"]) == ("no-store", "no-cache")
    (record,) = records_of(service, response)
    jti = claims_of(body["access_token"])["jti"]
    assert (record["action"], record["user_id"]) == ("token.issued", user_id)
    assert list(record["details"].items()) == [("jti", jti), ("roles", roles), ("expires_in", 3600), ("address", "127.0.0.1")]


def test_credentials_by_basic_are_granted_a_token_with_all_roles(service: Service, secret: str) -> None:
    check_granted(service, post(service, auth=("both", secret)), [ASK, READ])


def test_credentials_in_the_body_are_granted_a_token_too(service: Service, secret: str) -> None:
    check_granted(service, post(service, {**FORM, "client_id": "both", "client_secret": secret}), [ASK, READ])


def test_basic_credentials_are_form_decoded_as_section_2_3_1_asks(service: Service, secret: str) -> None:
    check_granted(service, post(service, headers=basic(percent_encoded("both"), percent_encoded(secret))), [ASK, READ])


def test_the_scheme_ignores_case_and_the_media_type_may_have_parameters(service: Service, secret: str) -> None:
    headers = {"Authorization": basic("both", secret)["Authorization"].replace("Basic", "bAsIc")}
    headers["Content-Type"] = "Application/X-WWW-Form-URLencoded; charset=UTF-8"
    content = b"grant_type=client_credentials"
    assert HTTP.post(service.url + "/token", content=content, headers=headers).status_code == 200


def test_the_client_id_may_stand_in_both_places_if_it_is_the_same(service: Service, secret: str) -> None:
    assert post(service, {**FORM, "client_id": "both"}, auth=("both", secret)).status_code == 200


@pytest.mark.parametrize("scope", [READ, ASK, f"{READ} {ASK}", f"{READ} {READ}", f"{READ}  {ASK}", f" {ASK} "])
def test_a_scope_narrows_the_token_to_the_roles_it_names(service: Service, secret: str, scope: str) -> None:
    response = post(service, {**FORM, "scope": scope}, auth=("both", secret))
    roles = [role for role in (ASK, READ) if role in scope]
    check_granted(service, response, roles)
    claims = claims_of(response.json()["access_token"])
    assert (claims["roles"], claims["scope"]) == (roles, " ".join(roles))


def test_a_parameter_without_a_value_counts_as_left_out(service: Service, secret: str) -> None:
    form = {**FORM, "scope": "", "client_secret": "", "client_id": ""}
    check_granted(service, post(service, form, auth=("both", secret)), [ASK, READ])


def test_unknown_parameters_are_ignored(service: Service, secret: str) -> None:
    assert post(service, {**FORM, "resource": "https://x.example", "foo": "bar"}, auth=("both", secret)).status_code == 200


def test_a_token_works_and_one_without_the_role_does_not(service: Service, secret: str) -> None:
    assert service.ask(service.token("both", secret, scope=ASK)).status_code == 200
    assert service.ask(service.token("both", secret, scope=READ)).status_code == 403


# --- refused -----------------------------------------------------------------------------------------


def check_client_refused(service: Service, response: httpx.Response, reason: str, client_id: str | None) -> None:
    """The body is the same for every reason; only the record names it."""
    check_oauth_error(response, 401, "invalid_client")
    assert response.json()["error_description"] == "The client is unknown or its secret is wrong."
    assert response.headers["www-authenticate"].startswith("Basic realm=")
    record = refusal(service, response)
    assert record["user_id"] is None
    details = {"status": 401, "code": "invalid_client", "method": "POST", "route": "/token", "address": "127.0.0.1"}
    assert record["details"] == details | {"reason": reason, "client_id": client_id}


def test_a_wrong_secret_an_unknown_client_and_no_credentials_look_the_same(service: Service, secret: str) -> None:
    check_client_refused(service, post(service, auth=("both", secret[:-1])), "wrong_secret", "both")
    check_client_refused(service, post(service, auth=("nobody", secret)), "unknown_client", "nobody")
    check_client_refused(service, post(service, auth=("no body", secret)), "unknown_client", "no body")
    digest = "sha256:" + hashlib.sha256(secret.encode()).hexdigest()
    check_client_refused(service, post(service, auth=(secret, "both")), "unknown_client", digest)
    check_client_refused(service, post(service), "no_credentials", None)
    check_client_refused(service, post(service, {**FORM, "client_id": "both"}), "no_credentials", None)
    check_client_refused(service, post(service, {**FORM, "client_id": "both", "client_secret": "x"}), "wrong_secret", "both")


@pytest.mark.parametrize("header", ["Basic", "Basic !", "Basic Ym90aA==", "Basic /w==", "Bearer abc", "Digest x", "both:secret"])
def test_credentials_that_cannot_be_read_are_an_invalid_client(service: Service, header: str) -> None:
    response = post(service, headers={"Authorization": header})
    check_client_refused(service, response, "malformed_credentials", None)


def test_two_authorization_headers_are_refused(service: Service, secret: str) -> None:
    good = basic("both", secret)["Authorization"]
    response = post(service, headers=[("Authorization", good), ("Authorization", good)])
    check_client_refused(service, response, "malformed_credentials", None)


def check_request_refused(service: Service, response: httpx.Response, error: str, code: str, status: int = 400) -> None:
    check_oauth_error(response, status, error)
    assert refusal(service, response)["details"]["code"] == code


def test_credentials_in_both_places_are_an_invalid_request(service: Service, secret: str) -> None:
    twice = post(service, {**FORM, "client_id": "both", "client_secret": secret}, auth=("both", secret))
    check_request_refused(service, twice, "invalid_request", "invalid_request")
    another = post(service, {**FORM, "client_id": "alice"}, auth=("both", secret))
    check_request_refused(service, another, "invalid_request", "invalid_request")


@pytest.mark.parametrize("grant", ["password", "authorization_code", "refresh_token", "CLIENT_CREDENTIALS", "x y"])
def test_another_grant_is_unsupported(service: Service, secret: str, grant: str) -> None:
    response = post(service, {"grant_type": grant}, auth=("both", secret))
    check_request_refused(service, response, "unsupported_grant_type", "unsupported_grant_type")


@pytest.mark.parametrize("form", [{}, {"scope": ASK}, {"grant_type": ""}])
def test_no_grant_is_an_invalid_request(service: Service, secret: str, form: dict[str, str]) -> None:
    content = httpx.QueryParams(form).__str__().encode()
    headers = {**basic("both", secret), "Content-Type": "application/x-www-form-urlencoded"}
    response = HTTP.post(service.url + "/token", content=content, headers=headers)
    check_request_refused(service, response, "invalid_request", "invalid_request")


@pytest.mark.parametrize("scope", ["admin", f"{ASK} admin", "  ", f"{ASK}\t{READ}", ASK + "\n", ASK.upper()])
def test_a_scope_that_the_client_does_not_have_is_invalid(service: Service, secret: str, scope: str) -> None:
    response = post(service, {**FORM, "scope": scope}, auth=("both", secret))
    check_request_refused(service, response, "invalid_scope", "invalid_scope")
    assert refusal(service, response)["user_id"] == "both"


@pytest.mark.parametrize(
    "content",
    [
        b"grant_type=client_credentials&grant_type=client_credentials",
        b"grant_type=client_credentials&scope=a&scope=a",
        b"grant_type=client_credentials&grant%5ftype=client_credentials",
        b"grant_type=client_credentials&scope=%ff",
        b"grant_type=client_credentials&scope=\xc3\xa9",
        b"grant_type=client_credentials&scope=%00",
        b"&".join(b"p%d=1" % n for n in range(30)) + b"&grant_type=client_credentials",
    ],
)
def test_a_repeated_or_unreadable_parameter_is_an_invalid_request(service: Service, secret: str, content: bytes) -> None:
    headers = {**basic("both", secret), "Content-Type": "application/x-www-form-urlencoded"}
    response = HTTP.post(service.url + "/token", content=content, headers=headers)
    check_request_refused(service, response, "invalid_request", "invalid_request")


def test_another_media_type_is_415_and_an_invalid_request(service: Service, secret: str) -> None:
    for more in ({"json": FORM}, {"files": {"grant_type": b"client_credentials"}}, {"content": b"grant_type=client_credentials"}):
        response = HTTP.post(service.url + "/token", auth=("both", secret), **more)
        check_request_refused(service, response, "invalid_request", "unsupported_media_type", 415)


def test_a_body_that_is_too_large_is_413_and_an_invalid_request(service: Service, secret: str) -> None:
    response = post(service, {**FORM, "foo": "x" * 10_000}, auth=("both", secret))
    check_request_refused(service, response, "invalid_request", "too_large", 413)


def test_other_methods_and_paths_get_oauth_errors_too(service: Service) -> None:
    got = HTTP.get(service.url + "/token?grant_type=client_credentials")
    check_request_refused(service, got, "invalid_request", "method_not_allowed", 405)
    assert got.headers["allow"] == "POST"
    check_request_refused(service, HTTP.post(service.url + "/token/"), "invalid_request", "not_found", 404)


def test_no_refused_credential_is_echoed(service: Service, secret: str) -> None:
    marker = "planted-marker-7c1f"
    forms = [{**FORM, "scope": marker}, {"grant_type": marker}, {**FORM, marker: marker}, {**FORM, "client_secret": marker}]
    for form in forms:
        assert marker not in post(service, form, auth=("both", secret)).text
    assert marker not in service.log.read_text()


# --- revoked --------------------------------------------------------------------------------------


def refused_as(service: Service, token: str) -> str | None:
    """The code in the record if *token* is refused now, else None. The body does not contain it."""
    response = service.ask(token)
    if response.status_code == 200:
        return None
    assert (response.status_code, response.json()["code"]) == (401, "invalid_token")
    assert response.json()["detail"] == "The access token is not valid. Ask POST /token for a new one."
    assert response.headers["www-authenticate"] == challenge(service, "invalid_token")
    record = refusal(service, response)
    assert record["details"]["code"] not in response.text
    return str(record["details"]["code"])


def test_a_revoked_token_is_soon_refused_and_others_stay_valid(service: Service) -> None:
    secret = service.add_client("carol")
    token, sister = service.token("carol", secret), service.token("carol", secret)
    assert refused_as(service, token) is None
    jti = claims_of(token)["jti"]
    assert service.cli("token", "revoke", jti) == {"jti": jti, "revoked": True}
    started = time.monotonic()
    eventually(lambda: refused_as(service, token) == "token_revoked")
    print(f"refused {time.monotonic() - started:.2f} s after the command ended")
    assert refused_as(service, sister) is None
    assert [r["details"] for r in service.records() if r["action"] == "token.revoked"] == [{"jti": jti, "by": "operator"}]


def test_changed_roles_and_an_enabled_client_count_on_every_worker(fake: FakeOpenAI, tmp_path: Path) -> None:
    with Service(tmp_path, workers=2, OPENAI_BASE_URL=fake.base_url) as service:
        secret = service.add_client("erika")
        token = service.token("erika", secret)

        def statuses() -> set[int]:
            """Of calls on connections of their own: both workers are met."""
            return {service.ask(token).status_code for _ in range(8)}

        assert statuses() == {200}
        service.cli("clients", "set-roles", "erika", "--role", "ai.audit.reader")
        eventually(lambda: statuses() == {403})
        service.cli("clients", "set-roles", "erika", "--role", "ai.playground.user", "--role", "ai.audit.reader")
        eventually(lambda: statuses() == {200})
        service.cli("clients", "disable", "erika")
        eventually(lambda: statuses() == {401})
        service.cli("clients", "enable", "erika")
        eventually(lambda: statuses() == {200})
        assert service.verify()["ok"]
        actions = [record["action"] for record in service.records() if record["action"].startswith("client.")]
    assert actions == ["client.added", "client.roles_set", "client.roles_set", "client.disabled", "client.enabled"]


def test_a_disabled_client_is_soon_refused_and_gets_no_new_token(service: Service) -> None:
    secret = service.add_client("david")
    token = service.token("david", secret)
    assert refused_as(service, token) is None
    assert service.cli("clients", "disable", "david") == {"client_id": "david", "disabled": True}
    check_client_refused(service, post(service, auth=("david", secret)), "client_disabled", "david")
    eventually(lambda: refused_as(service, token) == "client_disabled")
    assert [r["details"] for r in service.records() if r["action"] == "client.disabled"] == [
        {"client_id": "david", "by": "operator"}
    ]


def test_a_rotated_secret_is_invalid_at_once_and_tokens_stay_valid(service: Service) -> None:
    old = service.add_client("erika")
    token = service.token("erika", old)
    new = service.cli("clients", "rotate", "erika")["client_secret"]
    check_client_refused(service, post(service, auth=("erika", old)), "wrong_secret", "erika")
    assert post(service, auth=("erika", new)).status_code == 200
    assert refused_as(service, token) is None


# --- with curl ---------------------------------------------------------------------------------------


def curl(*arguments: str) -> Any:
    if shutil.which("curl") is None:
        leave_out("there is no curl (Debian: apt-get install curl)")
    done = subprocess.run(["curl", "-sS", *arguments], capture_output=True, text=True, timeout=60, check=True)
    return json.loads(done.stdout)


@pytest.mark.parametrize("how", ["basic", "body"])
def test_curl_fetches_a_token_and_asks(service: Service, secret: str, how: str, tmp_path: Path) -> None:
    credentials = ["-u", f"both:{secret}"] if how == "basic" else ["-d", "client_id=both", "-d", f"client_secret={secret}"]
    granted = curl(*credentials, "-d", "grant_type=client_credentials", f"{service.url}/token")
    authorization = f"Authorization: Bearer {granted['access_token']}"
    body = '{"query": "What is the capital of France?"}'
    answer = curl("-H", authorization, "-H", "Content-Type: application/json", "-d", body, f"{service.url}/ask")
    assert answer["answer"].startswith("echo: ")
    assert service.verify(f"{answer['receipt']['seq']}:{answer['receipt']['hash']}")["ok"]
