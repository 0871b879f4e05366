"""Which tools may pass: those that the client runs itself, and those that the operator allows."""

from __future__ import annotations

import re
from collections.abc import Mapping, Set
from typing import Any

from ..errors import InvalidParameter
from .v1_refusals import shown, unsupported

CLIENT_TOOLS = re.compile(r"function|custom|local_shell|apply_patch|computer([_-].*)?|(bash|text_editor|memory)_[0-9]+")
"""OpenAI's and Anthropic's names. The server only asks for a call; the next request tells what it
gave, and so the records hold both."""
WEB_SEARCH = re.compile(r"web_search([_-].*)?")
"""Runs at the server, and reaches nothing of the server's or of another caller's."""
FORMS = frozenset({"function", "input_schema", "parameters"})
"""A tool without a type that has one of these is a function of the client."""
CHOICES = frozenset({None, "allowed_tools", "auto", "none", "required", "any", "tool"})
"""What else the `type` in a `tool_choice` may be."""
_DATE = re.compile(r"_([0-9]{8}|[0-9]{4}(_[0-9]{2}){2})$")
"""Versions of tools end in a date."""
INSTEAD = "use tools that your own program runs (function, custom, local_shell, apply_patch …), or ask the operator to allow it"


def is_allowed(kind: str, allowed: Set[str]) -> bool:
    """Whether the operator allows the tool *kind*, or the tool of which it is a version."""
    return kind in allowed or undated(kind) in allowed


def undated(kind: str) -> str:
    """The tool of which *kind* is a version."""
    return _DATE.sub("", kind)


def runs_at_client(tool: Mapping[str, Any]) -> bool:
    """Whether a tool that passed `refused_member` runs in the client's own program."""
    kind = tool.get("type")
    if not isinstance(kind, str) or CLIENT_TOOLS.fullmatch(kind) or kind in ("namespace", "tool_search", "shell"):
        return refused_member(tool, frozenset(), may_lack_type=True) is None
    return False


def refused_member(tool: Mapping[str, Any], allowed: Set[str], *, may_lack_type: bool) -> str | None:
    """The member because of which the definition of a tool is refused; None: it may pass."""
    kind = tool.get("type")
    if kind is None and may_lack_type and not FORMS.isdisjoint(tool):
        return None
    if not isinstance(kind, str):
        return "type"
    if is_allowed(kind, allowed) or CLIENT_TOOLS.fullmatch(kind) or WEB_SEARCH.fullmatch(kind):
        return None
    if kind == "shell":  # elsewhere it runs in a container of the server
        environment = tool.get("environment")
        is_local = environment is None or (isinstance(environment, dict) and environment.get("type") == "local")
        return None if is_local else "environment"
    if kind == "tool_search":
        return None if tool.get("execution") == "client" else "execution"
    if kind == "namespace":  # its tools are looked at like all others
        return None if isinstance(tool.get("tools"), list) else "tools"
    return "type"


def refused_in_choice(choice: Mapping[str, Any], allowed: Set[str]) -> str | None:
    """As `refused_member`, for an object in a `tool_choice`: it names a tool, and need not say
    where it runs."""
    kind = choice.get("type")
    if isinstance(kind, str | None) and kind in CHOICES:
        return None
    return refused_member({"execution": "client", "tools": [], **choice}, allowed, may_lack_type=False)


def refusal(place: str, member: str, kind: object) -> InvalidParameter:
    """*place*: of the *member* because of which a tool of this *kind* is refused."""
    if member == "environment":
        what = f'is not allowed here: send {{"type": "local"}} or nothing, and run the commands yourself; {_OR_ASK} shell.'
    elif member == "execution":
        what = f'is not allowed here: send "client", and search the tools yourself; {_OR_ASK} tool_search.'
    elif member == "tools":
        what = "is not a list: a namespace lists its tools."
    elif not isinstance(kind, str):
        what = "is missing: a tool names its type, such as function."
    else:
        what = f"is not allowed here: {shown(kind)} is not known to run in your own program. Instead {INSTEAD}."
    return unsupported(place, what)


_OR_ASK = "or ask the operator to allow"
