"""Tools of agents, turn by turn: what they declare, call and give back passes unchanged and stands in the records."""

from __future__ import annotations

import json
from typing import Any

import pytest

from ..support.calls import bearer
from ..support.fake_openai import FakeOpenAI
from ..support.sdk import records_named
from ..support.sdk_bodies import HI
from ..support.service import HTTP, Service

PARAMETERS: dict[str, Any] = {"type": "object", "properties": {}}
FUNCTION: dict[str, Any] = {"type": "function", "name": "read", "strict": False, "parameters": PARAMETERS}
TOOLS: list[dict[str, Any]] = [
    FUNCTION,
    {"type": "custom", "name": "patch", "format": {"type": "grammar", "syntax": "lark", "definition": "start: /.+/"}},
    {"type": "namespace", "name": "mcp__gh", "description": "d", "tools": [FUNCTION, {"type": "custom", "name": "x"}]},
    {"type": "tool_search", "execution": "client", "description": "d", "parameters": PARAMETERS},
    *({"type": kind} for kind in ("local_shell", "apply_patch", "shell", "computer", "web_search")),
    {"type": "shell", "environment": {"type": "local", "skills": [{"name": "pdf", "description": "d", "path": "/skills/pdf"}]}},
    {"type": "computer_use_preview", "display_width": 800, "display_height": 600, "environment": "browser"},
]
CALLS: list[dict[str, Any]] = [
    {"type": "reasoning", "id": "rs_1", "summary": [{"type": "summary_text", "text": "thought"}], "encrypted_content": "A" * 300},
    {"type": "function_call", "call_id": "c1", "name": "read", "arguments": '{"file_id": "7"}'},
    {"type": "custom_tool_call", "call_id": "c2", "name": "patch", "input": "*** Begin Patch"},
    {"type": "local_shell_call", "call_id": "c3", "action": {"type": "exec", "command": ["ls"], "env": {"store_id": "x"}}},
    {"type": "shell_call", "call_id": "c4", "action": {"commands": ["ls -la"], "timeout_ms": 1000}},
    {"type": "apply_patch_call", "call_id": "c5", "operation": {"type": "update_file", "path": "a.py", "diff": "@@ -1 +1 @@"}},
    {"type": "computer_call", "call_id": "c6", "action": {"type": "click", "x": 1, "y": 2}, "pending_safety_checks": []},
    {
        "type": "tool_search_call",
        "call_id": "c7",
        "execution": "client",
        "arguments": {"query": "issues", "tools": [{"type": "mcp"}]},
    },
    {"type": "function_call", "call_id": "c8", "namespace": "mcp__gh", "name": "read", "arguments": "{}"},
]
PIXEL = "data:image/png;base64,iVBORw0KGgo="
RESULTS: list[dict[str, Any]] = [
    {"type": "function_call_output", "call_id": "c1", "output": '{"tools": [{"type": "mcp"}]}'},
    {"type": "custom_tool_call_output", "call_id": "c2", "output": "patched"},
    {"type": "local_shell_call_output", "id": "c3", "output": '{"output": "a.py"}'},
    {
        "type": "shell_call_output",
        "call_id": "c4",
        "output": [{"stdout": "a.py", "stderr": "", "outcome": {"type": "exit", "exit_code": 0}}],
    },
    {"type": "apply_patch_call_output", "call_id": "c5", "status": "completed", "output": "done"},
    {"type": "computer_call_output", "call_id": "c6", "output": {"type": "computer_screenshot", "image_url": PIXEL}},
    {"type": "tool_search_output", "call_id": "c7", "execution": "client", "status": "completed", "tools": [FUNCTION]},
    {"type": "function_call_output", "call_id": "c8", "output": [{"type": "input_text", "text": "found"}]},
]
TURN = [{**HI, "type": "message"}, *CALLS, *RESULTS]


def turn(token: str, service: Service, stream: bool) -> tuple[dict[str, Any], dict[str, Any]]:
    """The details of the two records of a turn that declares every tool and gives every result back."""
    body = {"model": "gpt-4o-mini", "input": TURN, "tools": TOOLS, "store": False, "stream": stream}
    response = HTTP.post(service.url + "/v1/responses", json=body, headers=bearer(token))
    assert response.status_code == 200, response.text
    received, answered = records_named(service, response.headers["x-request-id"])
    return received["details"], answered["details"]


@pytest.mark.parametrize("stream", [False, True], ids=["plain", "stream"])
def test_what_an_agent_declares_and_gives_back_passes_and_is_recorded(
    token: str, service: Service, upstream: FakeOpenAI, stream: bool
) -> None:
    received, _ = turn(token, service, stream)
    sent = json.loads(upstream.seen()["bodies"][-1])
    assert received["messages"] == sent["input"] == TURN
    assert received["params"]["tools"] == sent["tools"] == TOOLS


def document(output: list[Any]) -> dict[str, Any]:
    return {"id": "resp_1", "object": "response", "status": "completed", "model": "m", "output": output, "usage": None}


def test_what_a_model_calls_stands_in_the_record_of_a_plain_answer(token: str, service: Service, upstream: FakeOpenAI) -> None:
    upstream.set(body=json.dumps(document(CALLS)))
    assert turn(token, service, stream=False)[1]["answer"] == CALLS


@pytest.mark.parametrize("last", [CALLS, []], ids=["whole", "empty"])
def test_what_a_model_calls_stands_in_the_record_of_a_stream(
    token: str, service: Service, upstream: FakeOpenAI, last: list[Any]
) -> None:
    """Also where the last event repeats none of it, as for Codex."""
    events = [{"type": "response.output_item.done", "output_index": at, "item": item} for at, item in enumerate(CALLS)]
    events.append({"type": "response.completed", "response": document(last)})
    upstream.set(script=[f"data: {json.dumps(event)}\n\n" for event in events])
    assert turn(token, service, stream=True)[1]["answer"] == CALLS
