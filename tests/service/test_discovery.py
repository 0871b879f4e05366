"""A client that knows nothing but the address finds its way to a token, an answer and a revocation."""

from __future__ import annotations

import http.client
import json
import re
from pathlib import Path
from typing import Any

import httpx
import pytest

from ..support.calls import bearer, check_problem, refusal
from ..support.fake_openai import FakeOpenAI
from ..support.service import HTTP, Service

SERVER, RESOURCE = "/.well-known/oauth-authorization-server", "/.well-known/oauth-protected-resource"
CHALLENGE = re.compile(r'Bearer realm="secure-ai-assistant"(?:, error="invalid_token")?, resource_metadata="([^"]+)"')


def document(url: str) -> dict[str, Any]:
    response = HTTP.get(url)
    assert (response.status_code, response.headers["content-type"]) == (200, "application/json")
    return dict(response.json())


def with_host(service: Service, path: str, *hosts: str, **headers: str) -> tuple[http.client.HTTPResponse, bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", service.port, timeout=20)
    connection.putrequest("GET", path, skip_host=True)
    for name, value in [*(("Host", host) for host in hosts), *headers.items()]:
        connection.putheader(name, value)
    connection.endheaders()
    response = connection.getresponse()
    body = response.read()
    connection.close()
    return response, body


def test_a_401_leads_to_a_token_and_its_end(service: Service) -> None:
    login = ("alice", service.add_client())
    body = {"query": "What is the capital of France?"}
    for headers in ({}, bearer("x.y.z")):
        refused = HTTP.post(service.url + "/ask", json=body, headers=headers)
        found = CHALLENGE.fullmatch(refused.headers["www-authenticate"])
        assert found is not None
        assert found[1] == service.url + RESOURCE
        (issuer,) = document(found[1])["authorization_servers"]
    server = document(issuer + SERVER)
    assert server["issuer"] == issuer == service.url
    form = {"grant_type": server["grant_types_supported"][0], "scope": server["scopes_supported"][0]}
    token = HTTP.post(server["token_endpoint"], data=form, auth=login).json()["access_token"]
    assert HTTP.post(service.url + "/ask", json=body, headers=bearer(token)).status_code == 200

    def is_active() -> bool:
        return bool(HTTP.post(server["introspection_endpoint"], data={"token": token}, auth=login).json()["active"])

    assert is_active()
    assert HTTP.post(server["revocation_endpoint"], data={"token": token}, auth=login).status_code == 200
    assert not is_active()
    assert HTTP.get(server["service_documentation"]).status_code == 200


def test_the_documents_are_for_one_caller_where_the_host_made_them(service: Service) -> None:
    for path in (SERVER, RESOURCE):
        response, body = with_host(service, path, "ai.example.com:8443")
        assert (response.status, response.headers["cache-control"]) == (200, "no-store")
        assert b"http://ai.example.com:8443" in body
        assert str(service.port).encode() not in body
    assert service.records()[-1]["action"] != "request.refused"


@pytest.mark.parametrize("host", ["a:99999", ""])
@pytest.mark.parametrize("path", [SERVER, RESOURCE])
def test_a_host_that_no_address_has_is_a_recorded_400(service: Service, host: str, path: str) -> None:
    response, body = with_host(service, path, host)
    answer = httpx.Response(response.status, headers=list(response.headers.items()), content=body)
    check_problem(answer, 400, "malformed_http")
    assert refusal(service, answer)["details"]["route"] == path
    refused, _ = with_host(service, "/v1/models", host)
    assert (refused.status, refused.headers["www-authenticate"]) == (401, 'Bearer realm="secure-ai-assistant"')


@pytest.mark.parametrize("hosts", [(), ("a b",), ("a/b",), ("me@a",), ("[::1",), ('a"',), ("a", "a")])
@pytest.mark.parametrize("path", [SERVER, "/v1/models", "/livez"])
def test_a_host_that_is_none_is_a_400_everywhere(service: Service, hosts: tuple[str, ...], path: str) -> None:
    response, body = with_host(service, path, *hosts)
    assert (response.status, b"malformed_http" in body) == (400, True)


def test_a_proxy_that_is_listed_says_the_scheme(fake: FakeOpenAI, tmp_path: Path) -> None:
    env: dict[str, Any] = {"OPENAI_BASE_URL": fake.base_url, "TRUSTED_PROXIES": "127.0.0.1"}
    with Service(tmp_path, **env) as service:
        _, body = with_host(service, SERVER, "ai.example.com", **{"X-Forwarded-Proto": "https"})
        assert json.loads(body)["issuer"] == "https://ai.example.com"


def test_a_public_url_is_what_everybody_is_told(fake: FakeOpenAI, tmp_path: Path) -> None:
    public = "https://ai.example.com/assistant"
    with Service(tmp_path, OPENAI_BASE_URL=fake.base_url, PUBLIC_URL=public + "/", JWT_ISSUER=public) as service:
        login = ("alice", service.add_client())
        for path in (SERVER, RESOURCE):
            response, body = with_host(service, path, "a:99999")
            assert (response.status, response.headers["cache-control"]) == (200, "public, max-age=3600")
            assert set(re.findall(r"https?://[^/]+/[a-z]+", body.decode())) == {public}
        token = service.token(*login)
        told = HTTP.post(service.url + "/token/introspect", data={"token": token}, auth=login).json()
        assert told["iss"] == json.loads(with_host(service, SERVER, "x")[1])["issuer"] == public
        refused = HTTP.get(service.url + "/v1/models")
        assert refused.headers["www-authenticate"].endswith(f'resource_metadata="{public}{RESOURCE}"')
