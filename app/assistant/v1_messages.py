"""What a /v1 body may ask: how many messages, how much text, and nothing kept on the server."""

from __future__ import annotations

import re
from collections.abc import Mapping, Set
from typing import Any

from ..catalogue.caps import Caps
from ..errors import InvalidParameter
from ..upstream.protocol.endpoint import Endpoint
from .v1_policy import folded
from .v1_reach import foreign_name, is_data, is_plain
from .v1_refusals import foreign, missing, wrong_type

NAMES = frozenset({"role", "type", "id", "call_id", "status", "detail"})
"""They name a part of a message, and do not count as text up to NAME_LENGTH characters."""
NAME_LENGTH = 100
TEXTS = frozenset(
    {"content", "text", "input", "output", "instructions", "arguments", "refusal", "transcript", "summary"}
    | {"reasoning", "reasoning_content", "thinking", "stdout", "stderr", "diff", "commands", "command"}
)
"""What a model reads stands in these. Elsewhere the form says what is text: see _text_length."""
BESIDE = ("instructions", "system")
"""Members that hold a message beside the others."""
_DATA_URL = re.compile(r"data:[^,]{0,200},", re.IGNORECASE)
_BASE64_URL = re.compile(r"data:[^,\s]{0,200};base64,", re.IGNORECASE)
_BASE64 = re.compile(r"[A-Za-z0-9+/=_%\r\n-]*")
_OF_URL = ("d", "D")
_OPAQUE_LENGTH = 256
"""From here on ASCII without a blank is bytes: prose has some."""


def verify_messages(endpoint: Endpoint, members: Mapping[str, Any], caps: Caps, allowed: Set[str] = frozenset()) -> bool:
    """Raises InvalidParameter for messages that are missing, malformed, too many or too long.

    Returns whether all objects in them are plain (`is_plain`). *allowed*: as in `verify_reach`.
    """
    name = endpoint.messages
    messages = _verified_shape(endpoint, members.get(name))
    are_plain = True
    if isinstance(messages, str):
        _verify_message(name, messages, caps, allowed)
    elif all(type(message) is int for message in messages):
        pass  # tokens: the cap on bytes limits them
    elif len(messages) > caps.messages:
        what = f"has more than the {caps.messages} entries that you may send."
        raise InvalidParameter(name, what, reason="array_above_max_length")
    else:
        for number, message in enumerate(messages):
            place = f"{name}[{number}]"
            if endpoint.keeps_answers and _is_untyped_reference(message):
                raise foreign(place)
            are_plain = _verify_message(place, message, caps, allowed) and are_plain
    for name in BESIDE:
        _verify_message(name, members.get(name), caps, allowed)
    return are_plain


def _verified_shape(endpoint: Endpoint, messages: Any) -> str | list[Any]:
    """A list, of objects where the endpoint wants them; elsewhere also a string. Not empty."""
    name = endpoint.messages
    if messages is None:
        raise missing(name, "it holds what you ask")
    if not isinstance(messages, list) and (endpoint.wants_objects or not isinstance(messages, str)):
        raise wrong_type(name, "a list of messages")
    if not messages:
        reason = "empty_string" if isinstance(messages, str) else "empty_array"
        raise InvalidParameter(name, "is empty.", reason=reason)
    if endpoint.wants_objects and not all(isinstance(message, dict) for message in messages):
        raise wrong_type(name, "a list of objects")
    return messages


def _verify_message(place: str, message: Any, caps: Caps, allowed: Set[str]) -> bool:
    """Returns whether its objects are plain (`is_plain`). Raises InvalidParameter if *message* has
    too much text, or names foreign content."""
    length, are_plain = 0, True
    pending: list[tuple[Any, str, bool]] = [(message, "content", False)]  # a value, its member, and whether it is in data
    while pending:
        value, key, in_data = pending.pop()
        if type(value) is str:
            length += _text_length(key, value)
        elif type(value) is list:
            key = "" if key in NAMES else key
            pending += [(item, key, in_data) for item in value]
        elif type(value) is dict:
            if not in_data and not is_plain(value):
                are_plain = False
                if foreign_name(value, allowed):
                    raise foreign(place)
            for key, item in value.items():
                if type(item) is str:  # nearly always
                    is_text = key in TEXTS and not item.startswith(_OF_URL)
                    length += len(item) if is_text else _text_length(key, item)
                elif type(item) is dict or type(item) is list:
                    pending.append((item, key, in_data or is_data(key, item)))
    if length > caps.message_chars:
        what = f"is longer than the {caps.message_chars} characters that you may send in one."
        raise InvalidParameter(place, what, reason="string_above_max_length")
    return are_plain


def _text_length(key: str, value: str) -> int:
    """How many characters of *value* count. Images, files and what only a server can read do not:
    the cap on bytes limits them."""
    if key in NAMES and len(value) <= NAME_LENGTH:
        return 0
    may_be_url = value.startswith(_OF_URL)
    if key in TEXTS:
        begun = _BASE64_URL.match(value) if may_be_url else None
        is_bytes = bool(begun and _BASE64.fullmatch(value, begun.end()))
    else:
        is_bytes = bool(may_be_url and _DATA_URL.match(value)) or _is_opaque(value)
    return 0 if is_bytes else len(value)


def _is_opaque(value: str) -> bool:
    return len(value) >= _OPAQUE_LENGTH and value.isascii() and " " not in value and "\t" not in value


def _is_untyped_reference(message: Any) -> bool:
    """An item_reference of /v1/responses, whose `type` may be left out."""
    return isinstance(message, dict) and "id" in map(folded, message) and not (message.get("type") or message.get("role"))
