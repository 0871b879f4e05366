"""What of a /v1 body reaches beyond the record: tools of other kinds, content kept on the server.

Both are looked for in the whole document, because a server may take them wherever they stand. What
is data, and never acted upon, is left out: schemas, arguments, metadata.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Set
from typing import Any

from ..upstream.protocol.endpoint import Endpoint
from .v1_policy import folded
from .v1_refusals import MAX_SHOWN, foreign, shown, unsupported, wrong_type
from .v1_tools import INSTEAD, refusal, refused_in_choice, refused_member

DATA = frozenset(
    {"parameters", "schema", "json_schema", "input_schema", "output_schema", "properties", "$defs", "definitions"}
    | {"arguments", "env"}
)
"""Members whose content describes something or belongs to the caller's own functions."""
FOREIGN = re.compile(r"((?:.*_)?(?:file|container|store|skill|connector|thread|assistant|prompt))_ids?|(.*)_reference")
"""Such members name content on the server, under the one key that all callers share: maybe
another's. The group is what the operator may allow."""
WITHIN_THE_REQUEST = "tool_reference"
"""Anthropic's name for a tool that the same request defines."""
RUN_THERE = frozenset({"mcp_servers", "plugins"})
"""Members in which Anthropic's protocol, and OpenRouter's, name what runs on the server's side."""
TOOLS = frozenset({"tools", "tool_choice"})
IN_TOOLS = frozenset({"type", "environment", "execution"})
"""What says where a tool runs."""
IMPLIED = {"file_search": "vector_store", "mcp": "connector"}
"""A tool that is allowed may name what it cannot do without."""
MAX_REMEMBERED = 500
_PLAIN: set[tuple[str, ...]] = set()
_SPECIAL = re.compile(rf"^(?:{FOREIGN.pattern}|{'|'.join(sorted(TOOLS | RUN_THERE))}|container|audio)$", re.MULTILINE)
Place = tuple["Place | None", str | int]
"""A member or an index, and the place of what it is in; a path in text would cost too much."""


def verify_reach(
    endpoint: Endpoint, members: Mapping[str, Any], allowed: Set[str] = frozenset(), *, are_plain: bool = False
) -> None:
    """Raises InvalidParameter. Content that a message names is `verify_messages`' to refuse.

    *allowed*: names of tools and of kinds of content that the operator allows. *are_plain*: what
    `verify_messages` returned; it has looked at the messages then.
    """
    may_lack_type = endpoint.name != "responses" or "mcp" in allowed
    pending: list[tuple[Any, Place | None, bool, str]] = [(members, None, False, "")]
    while pending:
        value, place, is_message, within = pending.pop()  # within: the one of TOOLS that it stands in
        if type(value) is list:
            pending += [
                (item, (place, at), is_message, within)
                for at, item in enumerate(value)
                if type(item) is dict or type(item) is list
            ]
            continue
        if not is_message and (name := foreign_name(value, allowed)):
            raise foreign(_text_of((place, name)))
        names = "\n".join(value)
        if not (names.isascii() and names.islower()):
            _verify_spelling(value, place, within, allowed)
        for key, item in value.items():
            if are_plain and place is None and key == endpoint.messages:
                continue
            if (type(item) is dict or type(item) is list) and not is_data(key, item):
                at = (place, key)
                chosen = key if key in TOOLS and within != "tool_choice" else within
                if key in TOOLS:
                    _verify_tools(item, at, allowed, is_choice=chosen == "tool_choice", may_lack_type=may_lack_type)
                elif key in RUN_THERE and item and key not in allowed:
                    raise unsupported(_text_of(at), f"is not allowed here: {INSTEAD}.")
                pending.append((item, at, is_message or (place is None and key == endpoint.messages), chosen))
            elif key == "tools" and within != "tool_choice" and isinstance(item, str) and item:
                raise wrong_type(_text_of((place, key)), "a list of objects")


def _verify_spelling(value: Mapping[str, Any], place: Place | None, within: str, allowed: Set[str]) -> None:
    for key, item in value.items():
        if (known := folded(key)) != key and _is_obeyed(known, item, within, allowed):
            raise unsupported(_text_of((place, key)), f"is not allowed here: write {known}.")


def _is_obeyed(known: str, item: Any, within: str, allowed: Set[str]) -> bool:
    """Whether a server that takes another spelling for *known* would do what is looked for here."""
    if known in TOOLS or known in RUN_THERE:
        return bool(item)
    return (bool(within) and known in IN_TOOLS) or foreign_name({known: item}, allowed) is not None


def is_data(key: str, item: Any) -> bool:
    """Whether a member is never acted upon. An object in `input` holds arguments (Anthropic);
    Codex counts its own threads in `client_metadata`."""
    return key in DATA or key.endswith("metadata") or (key == "input" and isinstance(item, dict))


def is_plain(value: Mapping[str, Any]) -> bool:
    """Whether nothing in *value* can be refused here but what is in its objects and lists.

    Large bodies hold thousands of objects with the same names, so those seen are remembered.
    """
    if isinstance(kind := value.get("type"), str) and kind.endswith("_reference"):
        return False
    names = tuple(value)
    if names in _PLAIN:
        return True
    text = "\n".join(names)
    if not (text.isascii() and text.islower()) or _SPECIAL.search(text):
        return False
    if len(text) <= MAX_REMEMBERED:
        if len(_PLAIN) >= MAX_REMEMBERED:
            _PLAIN.clear()
        _PLAIN.add(names)
    return True


def foreign_name(value: Mapping[str, Any], allowed: Set[str] = frozenset()) -> str | None:
    """The member of *value* that names content on the server, if one does."""
    kind, container, audio = value.get("type"), value.get("container"), value.get("audio")  # audio: an earlier answer
    if isinstance(kind, str) and kind.endswith("_reference") and _is_foreign(kind, allowed):
        return "type"
    if container is not None and "container" not in allowed and (isinstance(container, str) or _has_id(container)):
        return "container"
    if audio is not None and "audio" not in allowed and _has_id(audio):
        return "audio"
    names = "\n".join(value)  # to look at each name costs more
    if "_id" in names or "_reference" in names:
        for key, item in value.items():
            if item and key.endswith(("_id", "_ids", "_reference")) and _is_foreign(key, allowed):
                return key
    return None


def _has_id(value: Any) -> bool:
    return isinstance(value, dict) and "id" in map(folded, value)


def _is_foreign(name: str, allowed: Set[str]) -> bool:
    found = FOREIGN.fullmatch(name)
    if found is None or name == WITHIN_THE_REQUEST:
        return False
    kind = found[1] or found[2]
    return kind not in allowed and not any(IMPLIED.get(tool) == kind for tool in allowed)


def _verify_tools(value: Any, place: Place, allowed: Set[str], *, is_choice: bool, may_lack_type: bool) -> None:
    for tool, where in _entries(value, place):
        if not isinstance(tool, dict):
            if is_choice or tool is None:
                continue
            raise wrong_type(_text_of(where), "an object that names its type")
        member = refused_in_choice(tool, allowed) if is_choice else refused_member(tool, allowed, may_lack_type=may_lack_type)
        if member:
            raise refusal(_text_of((where, member)), member, tool.get("type"))


def _entries(value: Any, place: Place) -> Iterator[tuple[Any, Place]]:
    """*value*, or what is in the list *value* and in the lists in it."""
    pending = [(value, place)]
    while pending:
        value, place = pending.pop()
        if isinstance(value, list):
            pending.extend([(item, (place, at)) for at, item in enumerate(value)][::-1])
        else:
            yield value, place


def _text_of(place: Place) -> str:
    """As `input[0].tools[1].type`; the end alone of one that is too long."""
    text = ""
    rest: Place | None = place
    while rest is not None and len(text) <= MAX_SHOWN:
        rest, key = rest
        name = f"[{key}]" if isinstance(key, int) else shown(key) if rest is None else f".{shown(key)}"
        text = name + text
    return text if rest is None else f"…{text[-MAX_SHOWN:]}"
