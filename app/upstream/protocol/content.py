"""What an answer says: the texts in it, wherever they stand."""

from __future__ import annotations

from collections.abc import Hashable, Iterator
from typing import Any

import orjson

from ...kit.foreign_json import dense, dumps, storable
from .members import one_or_all
from .room import Room

LABELS = frozenset({"type", "object", "role", "status", "phase", "item_id", "logprobs", "obfuscation"})
"""Members that label or repeat what an answer says."""
_TEXT_TYPES = (None, "text", "output_text")


def text_of(content: Any) -> str | None:
    """The text of a message's content: a string, or the text parts of a list, joined; or None.

    Parts of other types, such as Mistral's `thinking`, are not for the reader of the answer.
    """
    if content is None or isinstance(content, str):
        return content
    parts = content if isinstance(content, list) else [content]
    texts = [text for part in parts if (text := _text_of_part(part)) is not None]
    return "".join(texts) if texts else None


def _text_of_part(part: Any) -> str | None:
    if isinstance(part, str):
        return part
    if not isinstance(part, dict) or part.get("type") not in _TEXT_TYPES:
        return None
    text = spoken(part.get("text"))
    return text if isinstance(text, str) else None


def spoken(value: Any) -> Any:
    """*value*, which stands where a text should: a number as the text that clients append."""
    return dumps(value).decode() if isinstance(value, int | float) else value


def said(value: Any, unless: frozenset[str] = LABELS) -> Iterator[str]:
    """Every text in a JSON value that is not empty, but for the members *unless*, in order."""
    if isinstance(value, str):
        if value:
            yield value
    elif isinstance(value, dict):
        for name, item in value.items():
            if name not in unless:
                yield from said(item, unless)
    elif isinstance(value, list):
        for item in value:
            yield from said(item, unless)


def says_anything(value: Any, unless: frozenset[str] = LABELS) -> bool:
    return next(said(value, unless), None) is not None


def further(members: dict[str, Any], known: frozenset[str]) -> dict[str, Any]:
    """The members that the protocol does not have, and that say something."""
    if members.keys() <= known:
        return {}
    return {name: value for name, value in members.items() if name not in known and says_anything(value)}


def restates(new: Any, old: Any, unless: frozenset[str] = LABELS) -> bool:
    """Whether *new* holds all that *old* says: the same, or more of it."""
    if isinstance(old, str) and isinstance(new, str):
        return new.startswith(old)
    if isinstance(old, dict) and isinstance(new, dict):
        return all(name in unless or restates(new.get(name), item, unless) for name, item in old.items())
    if isinstance(old, list) and isinstance(new, list):
        return len(new) >= len(old) and all(restates(*pair, unless) for pair in zip(new, old, strict=False))
    return not says_anything(old, unless)


def news_in(values: dict[str, Any], answer: Any) -> dict[str, Any] | None:
    """Those of *values* that say something which *answer* does not; None if there are none."""
    if not values:
        return None
    known = set(said(answer))
    return {name: value for name, value in values.items() if not known.issuperset(said(value))} or None


class Latest:
    """Values by their names: several of a name only where one does not restate the one before."""

    def __init__(self, unless: frozenset[str] = LABELS, room: Room | None = None) -> None:
        self._unless, self._room = unless, room or Room()
        self._latest: dict[Any, Any] = {}
        self._before: dict[Any, list[bytes]] = {}  # as JSON, which takes less memory

    def add(self, name: Hashable, value: Any) -> None:
        known = self._latest.get(name)
        if known is not None and not restates(value, known, self._unless):
            self._before.setdefault(name, []).append(dense(dumps(storable(known))))
            self._room.take()
        if known is None:
            self._room.take()
        self._latest[name] = value

    def all(self) -> dict[Any, list[Any]]:
        """All values of each name, in their order."""
        return {name: [*map(orjson.loads, self._before.get(name, ())), value] for name, value in self._latest.items()}

    def plain(self) -> dict[Any, Any]:
        """As JSON: the value of each name, or the list of its values."""
        return {name: one_or_all(values) for name, values in self.all().items()}
