"""Which tools may pass, by their definitions."""

from __future__ import annotations

from typing import Any

import pytest

from app.assistant.v1_tools import refusal, refused_in_choice, refused_member, runs_at_client, undated

from ...support.tables import for_each

ALLOWED = frozenset({"mcp", "code_execution", "tool_search", "shell", "file_search"})
CLIENT = [
    *("function", "custom", "local_shell", "apply_patch", "web_search", "web_search_preview", "web_search_2025_08_26"),
    *("computer", "computer_use", "computer_use_preview", "computer-preview", "computer_20251124"),
    *("bash_20250124", "text_editor_20250728", "memory_20250818", "web_search_20250305"),
]
SERVER = [
    *("mcp", "mcp_toolset", "code_interpreter", "code_execution", "code_execution_20250825", "file_search", "web_fetch"),
    *("web_fetch_20250910", "image_generation", "tool_search_tool_regex_20251119", "openrouter:web_search", "container"),
    *("bash", "bash_code_execution", "memory_bank", "functions", "Function", "new_tool", "computers", "shell_2", ""),
]


def refused(tool: dict[str, Any], allowed: frozenset[str] = frozenset()) -> str | None:
    return refused_member(tool, allowed, may_lack_type=False)


@for_each("kind", CLIENT)
def test_a_tool_that_the_client_runs_may_pass(kind: str) -> None:
    assert refused({"type": kind}) is None
    assert refused_in_choice({"type": kind}, frozenset()) is None


@for_each("kind", SERVER)
def test_a_tool_that_a_server_runs_or_nobody_knows_is_refused(kind: str) -> None:
    assert refused({"type": kind}) == "type"
    assert refused_in_choice({"type": kind}, frozenset()) == "type"
    assert "or ask the operator to allow it" in refusal("tools[0].type", "type", kind).detail


def test_the_operator_allows_a_tool_by_name_and_with_it_its_versions() -> None:
    found = {kind: refused({"type": kind}, ALLOWED) for kind in SERVER}
    allowed = {kind for kind, member in found.items() if member is None}
    assert allowed == {"mcp", "code_execution", "code_execution_20250825", "file_search"}
    assert refused_in_choice({"type": "mcp"}, ALLOWED) is None


CONDITIONAL: list[tuple[dict[str, Any], str | None]] = [
    ({"type": "shell"}, None),
    ({"type": "shell", "environment": None}, None),
    ({"type": "shell", "environment": {"type": "local", "skills": []}}, None),
    ({"type": "shell", "environment": {"type": "container_auto"}}, "environment"),
    ({"type": "shell", "environment": {}}, "environment"),
    ({"type": "shell", "environment": "local"}, "environment"),
    ({"type": "tool_search", "execution": "client", "parameters": {}}, None),
    ({"type": "tool_search", "execution": "server"}, "execution"),
    ({"type": "tool_search"}, "execution"),
    ({"type": "namespace", "name": "mcp__gh", "tools": []}, None),
    ({"type": "namespace", "name": "mcp__gh"}, "tools"),
]


@for_each(("tool", "member"), CONDITIONAL)
def test_where_a_tool_runs_may_stand_in_another_member(tool: dict[str, Any], member: str | None) -> None:
    assert refused(tool) == member
    if member in ("environment", "execution"):
        assert refused(tool, ALLOWED) is None
        assert "not allowed here: send" in refusal(f"tools[0].{member}", member, tool["type"]).detail


def test_a_choice_names_a_tool_and_defines_none() -> None:
    choices = ["shell", "tool_search", "namespace", "auto", "none", "any", "tool", "required", "allowed_tools", None]
    assert [refused_in_choice({"type": kind}, frozenset()) for kind in choices] == [None] * len(choices)
    assert refused_in_choice({"type": ["function"]}, frozenset()) == "type"
    assert refused_in_choice({"type": "shell", "environment": {"type": "container_auto"}}, frozenset()) == "environment"
    assert refused_in_choice({"type": "tool_search", "execution": "server"}, frozenset()) == "execution"


@pytest.mark.parametrize("kind", [None, 7, ["function"], {"type": "function"}])
def test_a_type_is_a_text(kind: Any) -> None:
    assert refused({"type": kind, "name": "x", "server_url": "https://example.com"}) == "type"
    assert refusal("tools[0].type", "type", kind).detail == "tools[0].type is missing: a tool names its type, such as function."


def test_a_tool_without_a_type_is_the_clients_where_its_form_says_so() -> None:
    for tool, is_taken in (
        ({"name": "weather", "input_schema": {}}, True),
        ({"function": {"name": "weather"}}, True),
        ({"name": "weather", "parameters": {}}, True),
        ({"google_search": {}}, False),
        ({"name": "x", "server_url": "https://example.com"}, False),
    ):
        assert (refused_member(tool, frozenset(), may_lack_type=True) is None) == is_taken
        assert refused(tool) == "type"


def test_a_refusal_names_the_kind_but_never_a_secret() -> None:
    assert (
        "code_interpreter is not known to run in your own program" in refusal("tools[0].type", "type", "code_interpreter").detail
    )
    secret = "sk-proj-9aF3kLq8ZrT2vXw7BnYc5DmEoP1sUiH6"
    assert secret not in refusal("tools[0].type", "type", secret).detail


def test_a_tool_that_passed_runs_at_the_client_or_has_a_price_there() -> None:
    assert all(runs_at_client({"type": kind}) for kind in CLIENT if "search" not in kind)
    assert not any(runs_at_client({"type": kind}) for kind in ("web_search", "web_search_20250305", "mcp", "file_search"))
    assert runs_at_client({"name": "f", "input_schema": {}})
    assert runs_at_client({"type": "shell", "environment": {"type": "local"}})
    assert not runs_at_client({"type": "shell", "environment": {"type": "container_auto"}})
    assert [undated(kind) for kind in ("web_search_20250305", "web_search_2025_08_26", "mcp")] == [
        "web_search",
        "web_search",
        "mcp",
    ]
