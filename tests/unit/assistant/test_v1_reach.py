"""Tools of other kinds and content on the server are found wherever a server could take them, and nowhere else."""

from __future__ import annotations

import time
from typing import Any

import pytest

from app.assistant.v1_messages import verify_messages
from app.assistant.v1_reach import _PLAIN, MAX_REMEMBERED, is_plain, verify_reach
from app.errors import InvalidParameter
from app.upstream.protocol.chat import CHAT
from app.upstream.protocol.endpoint import Endpoint
from app.upstream.protocol.messages import MESSAGES
from app.upstream.protocol.responses import RESPONSES

from ...support.caps import CAPS
from ...support.tables import for_each

MCP: dict[str, Any] = {"type": "mcp", "server_label": "x", "server_url": "https://example.com"}
FUNCTION: dict[str, Any] = {"type": "function", "name": "weather", "parameters": {"type": "object"}}
HI: Any = {"role": "user", "content": "hi"}


def reached(members: dict[str, Any], *allowed: str, endpoint: Endpoint = RESPONSES, are_plain: bool = False) -> str | None:
    """The member that is refused."""
    try:
        verify_reach(endpoint, {"input": "hi", **members}, frozenset(allowed), are_plain=are_plain)
    except InvalidParameter as error:
        return error.param
    return None


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
    ({"tools": [{"type": "namespace", "tools": [FUNCTION, MCP]}]}, "tools[0].tools[1].type"),
    ({"tools": [{"type": "shell", "environment": {"type": "container_auto"}}]}, "tools[0].environment"),
    (
        {"input": [{"type": "tool_search_output", "tools": [{"type": "shell", "environment": "x"}]}]},
        "input[0].tools[0].environment",
    ),
    ({"tool_choice": {"type": "allowed_tools", "tools": [{"type": "shell"}, MCP]}}, "tool_choice.tools[1].type"),
    ({"mcp_servers": [{"type": "url", "url": "https://example.com"}]}, "mcp_servers"),
    ({"x_new": [{"mcp_servers": {"a": 1}}]}, "x_new[0].mcp_servers"),
    ({"Tools": [MCP]}, "Tools"),
    ({"tool\u017f": [MCP]}, "tool\u017f"),
    ({"tools": [{**FUNCTION, "Type": "mcp"}]}, "tools[0].Type"),
    ({"input": [{"role": "user", "content": [{"type": "input_file", "File_ID": "f"}]}]}, "input[0].content[0].File_ID"),
    ({"input": [{"Type": "item_reference", "Id": "rs_1"}]}, "input[0].Type"),
    ({"audio": {"ID": "audio_of_another"}}, "audio"),
    ({"x_new": {"Container": "cntr_1"}}, "x_new.Container"),
    ({"tools": [{"type": "shell", "environment": {"type": "local", "Type": "container_auto"}}]}, "tools[0].environment.Type"),
    ({"tool_choice": {"type": "function", "name": "x", "Type": "mcp"}}, "tool_choice.Type"),
    ({"tools": ["mcp"]}, "tools[0]"),
    ({"tools": [FUNCTION, [7]]}, "tools[1][0]"),
    ({"tools": "mcp"}, "tools"),
    ({"x_new": {"tools": "mcp"}}, "x_new.tools"),
    ({"prompt_id": "template"}, "prompt_id"),
    ({"plugins": [{"id": "auto-router"}]}, "plugins"),
]


@for_each(("members", "param"), ELSEWHERE)
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
    {"client_metadata": {"thread_id": "7"}},
    {"tool_choice": "auto"},
    {"tool_choice": {"type": "function", "name": "weather"}},
    {"tool_choice": {"type": "allowed_tools", "mode": "auto", "tools": [{"type": "function", "name": "weather"}]}},
    {"tools": [], "tool_choice": None},
    {"tools": None, "file_ids": None, "container": {"type": "auto"}},
    {"tools": [None], "tool_choice": {"type": "allowed_tools", "tools": ["weather"]}, "plugins": []},
    {"metadata": {"tools": ["mcp"]}, "tools": [{**FUNCTION, "parameters": {"tools": ["mcp"], "Tools": "x"}}]},
    {"x_new": {"Type": "x", "Environment": "prod", "Execution": 1, "Audio": {"voice": "x"}, "Tools": [], "Container": {}}},
    {"input": [{"role": "user", "content": [{"type": "text", "text": "x", "Type": "text"}]}]},
    {"tools": [{"type": "shell", "environment": {"type": "local", "skills": [{"name": "x", "path": "/x"}]}}]},
    {"tools": [{"type": "namespace", "name": "mcp__gh", "tools": [FUNCTION, {"type": "custom", "name": "x"}]}]},
    {"tool_choice": {"type": "allowed_tools", "tools": [{"type": "tool_search"}, {"type": "namespace", "name": "x"}]}},
    {"input": [{"type": "tool_search_output", "execution": "client", "tools": [{"type": "namespace", "tools": [FUNCTION]}]}]},
    {
        "input": [
            {"type": "local_shell_call", "action": {"type": "exec", "command": ["ls"], "env": {"file_id": "7", "tools": [MCP]}}}
        ]
    },
    {"input": [{"type": "tool_search_call", "execution": "client", "arguments": {"tools": [MCP], "thread_id": "t"}}]},
    {"input": [{"role": "assistant", "content": [{"type": "tool_use", "input": {"tools": [MCP], "file_id": "7"}}]}]},
    {
        "input": [
            {"role": "user", "content": [{"type": "tool_result", "content": [{"type": "tool_reference", "tool_name": "x"}]}]}
        ]
    },
    {"mcp_servers": []},
    {"tools": [{**FUNCTION, "parameters": {"properties": {"Type": {}, "File_ID": {}}}}], "metadata": {"Tools": [MCP]}},
    {"logit_bias": {"50256": -1}, "x_new": {"Content-Type": "x", "topK": 1}},
]


@for_each("members", HARMLESS)
def test_schemas_arguments_and_outputs_are_not_looked_into(members: dict[str, Any]) -> None:
    assert reached(members) is None


@for_each("members", [*(members for members, _ in ELSEWHERE), *HARMLESS])
def test_messages_that_were_found_plain_hold_nothing_to_refuse(members: dict[str, Any]) -> None:
    for _ in range(2):  # the second time the names are known
        for wrapped in (members, {"input": [{"role": "user", "content": [{"type": "x", **members}]}]}):
            try:
                are_plain = verify_messages(RESPONSES, {"input": "hi", **wrapped}, CAPS)
            except InvalidParameter:
                continue  # it is refused already
            assert reached(wrapped, are_plain=are_plain) == reached(wrapped)


def test_what_is_remembered_of_names_is_bounded() -> None:
    for number in range(2 * MAX_REMEMBERED):
        assert is_plain({f"name_{number}": 1})
        assert is_plain({f"name_{number}": "long_" * MAX_REMEMBERED})
    assert is_plain({"long_" * MAX_REMEMBERED: 1})
    assert len(_PLAIN) <= MAX_REMEMBERED
    assert max(len("".join(names)) for names in _PLAIN) <= MAX_REMEMBERED


@for_each(("members", "param"), ELSEWHERE)
def test_it_is_found_at_the_other_endpoints_too(members: dict[str, Any], param: str) -> None:
    without_type = "mcp_list_tools" in str(members)  # there a tool needs none
    assert reached(members, endpoint=CHAT) == (None if without_type else param)


def test_anthropics_tools_pass_or_not_by_where_they_run() -> None:
    schema = {"input_schema": {"type": "object", "properties": {"tools": {"type": "array"}, "file_id": {"type": "string"}}}}
    own = [{"name": "read", **schema}, {"type": "custom", "name": "edit", **schema}]
    own += [{"type": kind, "name": kind} for kind in ("bash_20250124", "text_editor_20250728", "memory_20250818")]
    call = {"type": "tool_use", "id": "t", "name": "read", "input": {"tools": [MCP], "container": "x"}}
    result = {"type": "tool_result", "tool_use_id": "t", "content": [{"type": "tool_reference", "tool_name": "edit"}]}
    messages = [HI, {"role": "assistant", "content": [call]}, {"role": "user", "content": [result]}]
    whole: dict[str, Any] = {"messages": messages, "tools": own, "tool_choice": {"type": "tool", "name": "read"}}
    assert reached(whole, endpoint=MESSAGES) is None
    for kind in ("code_execution_20250825", "web_fetch_20250910", "mcp_toolset", "tool_search_tool_bm25_20251119"):
        assert reached(whole | {"tools": [*own, {"type": kind, "name": "x"}]}, endpoint=MESSAGES) == "tools[5].type"
    assert reached(whole | {"mcp_servers": [{"type": "url", "name": "x"}]}, endpoint=MESSAGES) == "mcp_servers"
    assert reached(whole | {"container": "c"}, endpoint=MESSAGES) == "container"


@pytest.mark.parametrize(
    ("members", "allowed"),
    [
        ({"tools": [MCP]}, ["mcp"]),
        ({"tools": [{**MCP, "connector_id": "connector_gmail"}]}, ["mcp"]),
        ({"input": [{"type": "mcp_list_tools", "tools": [{"name": "x", "input_schema": {}}]}]}, ["mcp"]),
        ({"tools": [{"type": "file_search", "vector_store_ids": ["vs_1"]}]}, ["file_search"]),
        ({"tools": [{"type": "code_interpreter", "container": {"type": "auto"}}]}, ["code_interpreter"]),
        ({"tools": [{"type": "code_interpreter", "container": "cntr_1"}]}, ["code_interpreter", "container"]),
        (
            {"tools": [{"type": "shell", "environment": {"type": "container_reference", "container_id": "c"}}]},
            ["shell", "container"],
        ),
        ({"container": {"id": "cntr_1"}}, ["container"]),
        ({"mcp_servers": [{"type": "url"}], "tools": [{"type": "mcp_toolset"}]}, ["mcp_servers", "mcp_toolset"]),
    ],
)
def test_what_the_operator_allows_by_name_passes_and_nothing_else(members: dict[str, Any], allowed: list[str]) -> None:
    assert reached(members, *allowed) is None
    for name in allowed:
        assert reached(members, *{*allowed} - {name}) is not None
    assert reached({**members, "file_ids": ["file-1"]}, *allowed) == "file_ids"


@pytest.mark.slow
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
