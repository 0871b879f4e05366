"""What pydantic found wrong with a value, as the end of a sentence that begins with its name."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

NEEDS_TEXT = "takes text"
NEEDS_NUMBER = "takes a number"
NEEDS_WHOLE_NUMBER = "takes a whole number"
_BOUNDS = {
    "greater_than": ("gt", "above"),
    "greater_than_equal": ("ge", "of at least"),
    "less_than": ("lt", "below"),
    "less_than_equal": ("le", "of at most"),
}
_KINDS = {
    "bool": "takes true or false",
    "int": NEEDS_WHOLE_NUMBER,
    "float": NEEDS_NUMBER,
    "finite": NEEDS_NUMBER,
    "string": NEEDS_TEXT,
    "list": "takes a list",
    "path": "takes the path of a file",
}
"""By the first word of pydantic's name for the problem: int_parsing, int_type, int_from_float."""


def reason_of(problem: Mapping[str, Any]) -> str:
    """Such as "takes a number of at least 1". It never repeats the value."""
    kind, context = str(problem["type"]), problem.get("ctx") or {}
    if kind == "value_error":  # raised by a validator of ours
        message = str(problem["msg"]).removeprefix("Value error, ")
        return message[:1].lower() + message[1:]
    if kind in _BOUNDS:
        name, words = _BOUNDS[kind]
        return f"{NEEDS_NUMBER} {words} {_number(context[name])}"
    if kind in _OTHERS:
        return _OTHERS[kind](context)
    return _KINDS.get(kind.partition("_")[0], "takes another kind of value")


def _number(value: float) -> str:
    return f"{value:,.0f}" if value == int(value) else f"{value:.4g}"


def _too_short(context: Mapping[str, Any]) -> str:
    return "is empty" if context["min_length"] == 1 else f"takes at least {context['min_length']:,} characters"


_OTHERS: Mapping[str, Callable[[Mapping[str, Any]], str]] = {
    "literal_error": lambda context: "takes " + str(context["expected"]).replace("'", ""),
    "string_too_short": _too_short,
    "string_too_long": lambda context: f"takes at most {context['max_length']:,} characters",
}
