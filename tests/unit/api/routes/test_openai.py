"""What /openapi.json says of a /v1 body: the members that are read here, and that all others pass."""

from __future__ import annotations

from typing import Any

import pytest

from app.api.v1_answers import body_schema
from app.upstream.protocol.chat import CHAT
from app.upstream.protocol.completions import COMPLETIONS
from app.upstream.protocol.embeddings import EMBEDDINGS
from app.upstream.protocol.endpoint import Endpoint
from app.upstream.protocol.messages import MESSAGES
from app.upstream.protocol.responses import RESPONSES


@pytest.mark.parametrize(
    ("endpoint", "members"),
    [
        (CHAT, {"model", "messages", "max_tokens", "max_completion_tokens", "stream"}),
        (RESPONSES, {"model", "input", "max_output_tokens", "stream"}),
        (COMPLETIONS, {"model", "prompt", "max_tokens", "stream"}),
        (MESSAGES, {"model", "messages", "max_tokens", "stream"}),
        (EMBEDDINGS, {"model", "input"}),
    ],
    ids=lambda value: getattr(value, "name", ""),
)
def test_the_schema_lists_the_members_that_are_read_here(endpoint: Endpoint, members: set[str]) -> None:
    body: dict[str, Any] = body_schema(endpoint)["requestBody"]
    schema = body["content"]["application/json"]["schema"]
    assert body["required"]
    assert set(schema["properties"]) == members
    assert schema["required"] == ["model", endpoint.messages]
    assert schema["additionalProperties"] is True
