"""Members that several kinds of answers share, each checked as it is read."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..completion import Usage

MAX_MODEL_NAME = 500
MAX_WORD = 100


def safe_model_name(document: Mapping[str, Any], alias: str) -> str:
    """The model's name as the server gives it. Raises TypeError for anything but a name.

    *alias* if it gives none, or a path on its own machine, as llama.cpp may.
    """
    name = document.get("model") or alias
    if not isinstance(name, str) or len(name) > MAX_MODEL_NAME:
        raise TypeError
    is_path = name.startswith(("/", ".", "~")) or "\\" in name or name.endswith(".gguf")
    return alias if is_path else name


def replace_model_path(document: dict[str, Any], alias: str) -> bool:
    """Replace a path in *document*'s `model` by *alias*. Returns whether there was one."""
    if document.get("model") and document["model"] != (name := safe_model_name(document, alias)):
        document["model"] = name
        return True
    return False


def finish_reason(value: Any) -> str | None:
    """Raises TypeError for anything but a short string or null."""
    if not isinstance(value, str | None) or len(value or "") > MAX_WORD:
        raise TypeError
    return value


def one_or_all(values: list[Any]) -> Any:
    """The only value of *values*, or the list where there are several or none."""
    return values[0] if len(values) == 1 else values


def read_usage(counts: Any, input_name: str, output_name: str | None) -> Usage | None:
    """None where the server did not count. Raises TypeError for anything but counts.

    Without *output_name* the output is 0 tokens.
    """
    if counts is None or counts.get(input_name) is None or (output_name and counts.get(output_name) is None):
        return None
    tokens = counts[input_name], counts[output_name] if output_name else 0
    if any(type(count) is not int or count < 0 for count in tokens):
        raise TypeError
    return Usage(*tokens)
