"""What the deltas of a stream add up to (as OpenAI's SDKs add them): texts are joined, parts with an `index` merged by it."""

from __future__ import annotations

from typing import Any

MAX_DEPTH = 50
"""Of a delta; a record could not hold one that is nested without end."""
MAX_PARTS = 1024
"""Of one list, such as the tool calls of a message: each is looked for among the others."""
_FIXED = frozenset({"id", "type", "role", "index"})
_MANY = 4096


class Message:
    """Takes little more memory than its texts, however small the deltas."""

    def __init__(self) -> None:
        self._members: dict[str, Any] = {}

    def add(self, delta: dict[str, Any]) -> None:
        """Raises ValueError for one that is nested too deeply, or has too many parts; TypeError or AttributeError for none."""
        _merge(self._members, delta, 0)

    def plain(self) -> dict[str, Any]:
        """The message as JSON has it, `content` first."""
        members: dict[str, Any] = _plain(self._members)
        return {"content": members.pop("content"), **members} if "content" in members else members


class _Text:
    """Pieces, joined now and then."""

    __slots__ = ("_pieces",)

    def __init__(self, text: str) -> None:
        self._pieces = [text]

    def add(self, text: str) -> None:
        self._pieces.append(text)
        if len(self._pieces) > _MANY:
            self._pieces = [self.joined()]

    def joined(self) -> str:
        return "".join(self._pieces)


def _merge(into: dict[str, Any], delta: dict[str, Any], depth: int) -> None:
    if depth > MAX_DEPTH:
        raise ValueError
    for name, value in delta.items():
        known = into.get(name)
        if isinstance(value, str) and name not in _FIXED:
            if isinstance(known, _Text):
                known.add(value)
            else:
                into[name] = _Text(value)
        elif isinstance(value, dict):
            if not isinstance(known, dict):
                known = into[name] = {}
            _merge(known, value, depth + 1)
        elif isinstance(value, list):
            if not isinstance(known, list):
                known = into[name] = []
            _extend(known, value, depth + 1)
        elif value is not None or name not in into:
            into[name] = value


def _extend(known: list[Any], parts: list[Any], depth: int) -> None:
    if depth > MAX_DEPTH:
        raise ValueError
    for part in parts:
        if isinstance(part, list):
            nested: list[Any] = []
            _extend(nested, part, depth + 1)
            known.append(nested)
        elif isinstance(part, dict):
            place = next((one for one in known if isinstance(one, dict) and one.get("index", known) == part.get("index")), None)
            if place is None:
                if len(known) >= MAX_PARTS:
                    raise ValueError
                place = {}
                known.append(place)
            _merge(place, part, depth + 1)
        else:
            known.append(part)


def _plain(value: Any) -> Any:
    if isinstance(value, _Text):
        return value.joined()
    if isinstance(value, dict):
        return {name: _plain(item) for name, item in value.items()}
    return [_plain(item) for item in value] if isinstance(value, list) else value
