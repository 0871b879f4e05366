"""A preflight of an allowed origin may ask for any header but a proxy's; everything else is refused."""

from __future__ import annotations

import pytest
from fastapi import Response
from starlette.datastructures import Headers

from app.api.cors import Cors
from app.api.http_errors import CrossOriginRefused

CORS = Cors(Response(), origins=("https://a.example", "app://desktop", "moz-extension://*"))


def preflight(headers: str | None, origin: str = "https://a.example", method: str = "POST", **more: str) -> Headers:
    """The headers of the answer."""
    asked = {"origin": origin, "access-control-request-method": method, **{name.replace("_", "-"): more[name] for name in more}}
    if headers is not None:
        asked["access-control-request-headers"] = headers
    return CORS.preflight_response(Headers(asked)).headers


@pytest.mark.parametrize(
    "headers",
    [
        "authorization,content-type,user-agent,x-stainless-arch,x-stainless-retry-count",
        "traceparent, tracestate, baggage",
        "http-referer,x-title,HTTP-Referer,X-OpenRouter-Title",
        "content-encoding,idempotency-key,openai-beta,x-request-id,x-api-key,sentry-trace,x-of-next-year",
        "",
        "authorization,,content-type",
    ],
)
def test_a_script_of_an_allowed_origin_may_send_any_header(headers: str) -> None:
    assert preflight(headers)["access-control-allow-headers"] == headers
    assert preflight(None)["access-control-allow-origin"] == "https://a.example"


@pytest.mark.parametrize("name", ["x-forwarded-for", "X-Forwarded-Host", "x-forwarded-prefix", "Forwarded", "x-real-ip", "via"])
def test_what_only_a_proxy_may_say_is_refused(name: str) -> None:
    with pytest.raises(CrossOriginRefused):
        preflight(f"authorization,{name}")


@pytest.mark.parametrize("name", ["a b", "naïve", "x:y", "x" * 101, '"x"'])
def test_what_is_no_name_of_a_header_is_refused(name: str) -> None:
    with pytest.raises(CrossOriginRefused):
        preflight(name)


@pytest.mark.parametrize("origin", ["https://A.example:443", "app://desktop", "moz-extension://7f3a-22"])
def test_an_origin_is_allowed_however_it_is_spelled_and_echoed_as_it_came(origin: str) -> None:
    assert preflight("authorization", origin)["access-control-allow-origin"] == origin


@pytest.mark.parametrize(
    "origin", ["null", "https://b.example", "http://a.example", "app://other", "chrome-extension://7f3a", ""]
)
def test_another_origin_is_refused(origin: str) -> None:
    with pytest.raises(CrossOriginRefused):
        preflight("authorization", origin)
    with pytest.raises(CrossOriginRefused):
        preflight("authorization", origin, access_control_request_private_network="true")


def test_a_private_network_may_be_entered_from_an_allowed_origin() -> None:
    assert (
        preflight("authorization", access_control_request_private_network="true")["access-control-allow-private-network"]
        == "true"
    )
    assert "access-control-allow-private-network" not in preflight("authorization")


@pytest.mark.parametrize("method", ["DELETE", "PUT", "post"])
def test_a_method_that_no_endpoint_takes_is_refused(method: str) -> None:
    with pytest.raises(CrossOriginRefused):
        preflight("authorization", method=method)
