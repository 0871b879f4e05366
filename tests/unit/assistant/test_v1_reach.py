"""Tools of other kinds and content on the server are found wherever a server could take them, and nowhere else."""

from __future__ import annotations

import time
from typing import Any

import pytest

from app.assistant.v1_reach import TOOL_TYPES, verify_reach
from app.errors import InvalidParameter
from app.upstream.protocol.responses import RESPONSES

MCP: dict[str, Any] = {"type": "mcp", "server_label": "x", "server_url": "https://example.com"}
FUNCTION: dict[str, Any] = {"type": "function", "name": "weather", "parameters": {"type": "object"}}
HI: Any = {"role": "user", "content": "hi"}


def reached(members: dict[str, Any]) -> str | None:
    """The member that is refused."""
    try:
        verify_reach(RESPONSES, {"input": "hi", **members})
    except InvalidParameter as error:
        return error.param
    return None


@pytest.mark.parametrize(
    ("kind", "is_allowed"),
    [
        *((kind, True) for kind in sorted(TOOL_TYPES)),
        *((kind, False) for kind in ("file_search", "mcp", "code_interpreter", "shell", "namespace", "", None, 7, ["function"])),
    ],
)
def test_a_tool_must_be_of_a_known_kind(kind: Any, is_allowed: bool) -> None:
    assert reached({"tools": [FUNCTION, {"type": kind}]}) == (None if is_allowed else "tools[1].type")


ELSEWHERE: list[tuple[dict[str, Any], str]] = [
    ({"input": [HI, {"type": "additional_tools", "tools": [FUNCTION, MCP]}]}, "input[1].tools[1].type"),
    ({"input": [{"type": "tool_search_output", "tools": [MCP]}]}, "input[0].tools[0].type"),
    ({"input": [{"type": "mcp_list_tools", "tools": [{"name": "x", "input_schema": {}}]}]}, "input[0].tools[0].type"),
    ({"input": [{"role": "user", "content": [{"type": "x", "tools": [MCP]}]}]}, "input[0].content[0].tools[0].type"),
    ({"tools": [{"type": "function", "tools": [MCP]}]}, "tools[0].tools[0].type"),
    ({"tools": [[MCP]]}, "tools[0][0].type"),
    ({"tools": MCP}, "tools.type"),
    ({"tool_choice": MCP}, "tool_choice.type"),
    ({"tool_choice": {"type": "allowed_tools", "mode": "auto", "tools": [MCP]}}, "tool_choice.tools[0].type"),
    ({"tool_choice": {"type": "allowed_tools", "allowed_tools": {"tools": [MCP]}}}, "tool_choice.allowed_tools.tools[0].type"),
    ({"input": [{"type": "x", "tool_choice": {"type": "file_search"}}]}, "input[0].tool_choice.type"),
    ({"x_new": {"deeper": [{"tools": [MCP]}]}}, "x_new.deeper[0].tools[0].type"),
    ({"tool_resources": {"file_search": {"vector_store_ids": ["vs_1"]}}}, "tool_resources.file_search.vector_store_ids"),
    ({"tools": [{"type": "custom", "environment": {"type": "container_reference"}}]}, "tools[0].environment.type"),
    ({"tools": [{"type": "function", "container": "cntr_1"}]}, "tools[0].container"),
    ({"container": {"id": "cntr_1"}}, "container"),
    ({"file_ids": ["file-1"]}, "file_ids"),
]


@pytest.mark.parametrize(("members", "param"), ELSEWHERE)
def test_it_is_found_and_named_wherever_it_stands(members: dict[str, Any], param: str) -> None:
    assert reached(members) == param


TALE = {"type": "object", "properties": {"tools": {"type": "array", "items": {"type": "hammer"}}, "file_id": {"type": "string"}}}
HARMLESS: list[dict[str, Any]] = [
    {"tools": [{**FUNCTION, "parameters": TALE}]},
    {"tools": [{**FUNCTION, "parameters": {"tools": [MCP], "tool_choice": MCP}}]},
    {"text": {"format": {"type": "json_schema", "name": "x", "schema": TALE}}},
    {"response_format": {"type": "json_schema", "json_schema": {"schema": TALE}}},
    {"input": [{"type": "additional_tools", "tools": [{**FUNCTION, "parameters": TALE}]}]},
    {"input": [{"type": "function_call", "name": "x", "arguments": '{"tools": [{"type": "mcp"}]}'}]},
    {"input": [{"type": "function_call", "name": "x", "arguments": {"tools": [MCP], "file_id": "7"}}]},
    {"input": [{"type": "function_call_output", "call_id": "c", "output": '{"tools": [{"type": "mcp"}]}'}]},
    {"metadata": {"tools": [MCP], "file_id": "7"}},
    {"tool_choice": "auto"},
    {"tool_choice": {"type": "function", "name": "weather"}},
    {"tool_choice": {"type": "allowed_tools", "mode": "auto", "tools": [{"type": "function", "name": "weather"}]}},
    {"tools": [], "tool_choice": None},
    {"tools": None, "file_ids": None, "container": {"type": "auto"}},
    {"tools": ["weather"]},
]


@pytest.mark.parametrize("members", HARMLESS)
def test_schemas_arguments_and_outputs_are_not_looked_into(members: dict[str, Any]) -> None:
    assert reached(members) is None


def test_a_deep_or_wide_document_takes_no_stack_and_little_time() -> None:
    deep: Any = [MCP]
    for _ in range(50_000):
        deep = {"x": deep}
    wide: list[Any] = [{"a": []} for _ in range(100_000)]
    started = time.process_time()
    assert reached({"deep": deep, "wide": wide}) is None
    assert time.process_time() - started < 5


def test_the_place_of_a_deep_tool_is_cut() -> None:
    deep: Any = {"tools": [MCP]}
    for _ in range(500):
        deep = {"member": deep}
    name = reached(deep)
    assert name is not None
    assert name.startswith("…")
    assert name.endswith(".member.tools[0].type")
    assert len(name) <= 101
