"""What /openapi.json says of Anthropic's endpoints."""

from __future__ import annotations

from fastapi import FastAPI

from app.api.routes import anthropic


def test_both_endpoints_describe_their_body_and_anthropics_errors() -> None:
    app = FastAPI()
    app.include_router(anthropic.router)
    paths = app.openapi()["paths"]
    assert set(paths) == {"/v1/messages", "/v1/messages/count_tokens"}
    for address, members in paths.items():
        schema = members["post"]["requestBody"]["content"]["application/json"]["schema"]
        assert {"model", "messages"} == set(schema["required"])
        assert ("stream" in schema["properties"]) == (address == "/v1/messages")
        refusal = members["post"]["responses"]["429"]["content"]["application/json"]["schema"]["$ref"]
        assert refusal.endswith("/AnthropicErrorBody")
