"""Adds the deltas of a stream up to a message, as OpenAI's SDKs do.

Texts are joined. Objects are merged. Of lists, the parts with the same `index` are merged.
"""

from __future__ import annotations

from typing import Any

MAX_DEPTH = 50
"""Levels of nesting in a delta; a record cannot hold many more."""
MAX_PARTS = 1024
"""Objects in one list, such as the tool calls of a message. Each is searched for linearly."""
_NOT_JOINED = frozenset({"id", "type", "role", "index"})
_MAX_PIECES = 4096


class Message:
    """Takes little more memory than its texts, however small the deltas are."""

    def __init__(self) -> None:
        self._members: dict[str, Any] = {}

    def add(self, delta: dict[str, Any]) -> None:
        """Raises ValueError for too many levels or parts, AttributeError if it is no object."""
        _merge_object(self._members, delta, 0)

    def plain(self) -> dict[str, Any]:
        """The message as a JSON object, `content` first."""
        members: dict[str, Any] = _plain(self._members)
        return {"content": members.pop("content"), **members} if "content" in members else members


class _Text:
    """A text that grows piece by piece. Joining it at each piece would take quadratic time."""

    __slots__ = ("_pieces",)

    def __init__(self, text: str) -> None:
        self._pieces = [text]

    def add(self, text: str) -> None:
        self._pieces.append(text)
        if len(self._pieces) > _MAX_PIECES:
            self._pieces = [self.joined()]

    def joined(self) -> str:
        return "".join(self._pieces)


def _merge_object(target: dict[str, Any], delta: dict[str, Any], depth: int) -> None:
    if depth > MAX_DEPTH:
        raise ValueError
    for name, value in delta.items():
        known = target.get(name)
        if isinstance(value, str) and name not in _NOT_JOINED:
            if isinstance(known, _Text):
                known.add(value)
            else:
                target[name] = _Text(value)
        elif isinstance(value, dict):
            if not isinstance(known, dict):
                known = target[name] = {}
            _merge_object(known, value, depth + 1)
        elif isinstance(value, list):
            if not isinstance(known, list):
                known = target[name] = []
            _merge_list(known, value, depth + 1)
        elif value is not None or name not in target:  # null does not erase what is there
            target[name] = value


def _merge_list(target: list[Any], parts: list[Any], depth: int) -> None:
    if depth > MAX_DEPTH:
        raise ValueError
    for part in parts:
        if isinstance(part, dict):
            _merge_object(_part_like(part, target), part, depth + 1)
        elif isinstance(part, list):
            nested: list[Any] = []
            _merge_list(nested, part, depth + 1)
            target.append(nested)
        else:
            target.append(part)


def _part_like(part: dict[str, Any], target: list[Any]) -> dict[str, Any]:
    """The object in *target* with the `index` of *part*; a new one if there is none."""
    index = part.get("index")
    for known in target:
        if isinstance(known, dict) and "index" in known and known["index"] == index:
            return known
    if len(target) >= MAX_PARTS:
        raise ValueError
    added: dict[str, Any] = {}
    target.append(added)
    return added


def _plain(value: Any) -> Any:
    if isinstance(value, _Text):
        return value.joined()
    if isinstance(value, dict):
        return {name: _plain(item) for name, item in value.items()}
    return [_plain(item) for item in value] if isinstance(value, list) else value
