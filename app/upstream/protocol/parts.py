"""Adds the deltas of a stream up to a message, and says where that loses something.

Texts are joined. Objects are merged. Of lists, the parts that belong together are merged: those of
one `index` and `id`. `id`, `type` and `role` keep their first value. A `name` that comes again is a
repetition if it is equal to all that came before, else its next piece.
"""

from __future__ import annotations

from typing import Any

MAX_PARTS = 1024
"""Objects in one list, such as the tool calls of a message. Further ones are not added up."""
KEPT = frozenset({"id", "type", "role", "index"})
"""Members that do not come in pieces."""
_MAX_PIECES = 4096


class Text:
    """A text that grows piece by piece. Joining it at each piece would take quadratic time."""

    __slots__ = ("_joined", "_pieces", "_size")

    def __init__(self, text: str) -> None:
        self._pieces = [text]
        self._joined: list[str] = []  # the pieces before them, _MAX_PIECES in one
        self._size = len(text)

    def add(self, text: str) -> None:
        self._pieces.append(text)
        self._size += len(text)
        if len(self._pieces) > _MAX_PIECES:
            self._joined.append("".join(self._pieces))
            self._pieces = []

    def joined(self) -> str:
        if len(self._pieces) != 1 or self._joined:
            self._pieces, self._joined = ["".join([*self._joined, *self._pieces])], []
        return self._pieces[0]

    def equals(self, text: str) -> bool:
        """Joining it to compare it with each piece would take quadratic time."""
        return self._size == len(text) and self.joined() == text


class Parts:
    """A list that grows part by part."""

    __slots__ = ("_by_id", "_by_index", "_shared", "items", "objects")

    def __init__(self) -> None:
        self.items: list[Any] = []
        self.objects = 0
        """How many of them are objects."""
        self._by_index: dict[Any, dict[str, Any]] = {}  # the last part of each index
        self._by_id: dict[tuple[Any, Any], dict[str, Any]] = {}
        self._shared: set[Any] | None = None  # indices that several parts have

    def find(self, part: dict[str, Any]) -> dict[str, Any] | None:
        """The part that *part* goes on with; None if it begins one.

        A new id begins a new part, also at an index that is taken, as some servers number all their
        parallel calls 0.
        """
        index = part.get("index")
        if type(index) is int and not part.get("id"):  # nearly always
            return self._by_index.get(index)
        index, own_id = _place(part)
        known = self._by_index.get(index) if index is not None else None
        if own_id is None:
            return known if index is not None else self._continued(part)
        if known is not None and _place(known)[1] is None:
            return known
        return self._by_id.get((index, own_id))

    def is_shared(self, part: dict[str, Any]) -> bool:
        """Whether only the order of events says which part *part* goes on with."""
        return self._shared is not None and not part.get("id") and _place(part)[0] in self._shared

    def add(self, part: dict[str, Any]) -> dict[str, Any] | None:
        """The part that takes *part*'s members, perhaps a new one; None if there are too many."""
        found = self.find(part)
        if found is None:
            if self.objects >= MAX_PARTS:
                return None
            found = {}
            self.items.append(found)
            self.objects += 1
        index, own_id = _place(part)
        if index is not None and self._by_index.setdefault(index, found) is not found:
            self._shared = self._shared or set()
            self._shared.add(index)
            self._by_index[index] = found
        if own_id is not None:
            self._by_id[index, own_id] = found
        return found

    def _continued(self, part: dict[str, Any]) -> dict[str, Any] | None:
        """A part of only a type and a text of that type, such as `{"type": "text", "text": "a"}`,
        goes on with a part like it that came last."""
        kind = part.get("type")
        last = self.items[-1] if self.items else None
        if not isinstance(kind, str) or not isinstance(last, dict) or {*part} != {"type", kind} or {*last} != {*part}:
            return None
        value, known = part[kind], last[kind]
        is_alike = (isinstance(value, str) and isinstance(known, Text)) or (isinstance(value, list) and isinstance(known, Parts))
        return last if is_alike and last["type"] == kind else None


def _place(part: dict[str, Any]) -> tuple[Any, str | None]:
    """The index and the id of a part, None where it has none."""
    index, own_id = part.get("index"), part.get("id")
    return index if isinstance(index, int | str) else None, own_id if own_id and isinstance(own_id, str) else None


def merge(target: dict[str, Any], delta: dict[str, Any]) -> int:
    """Add *delta* to *target*, whose texts are `Text` and whose lists are `Parts`.

    Returns how many members and parts are new.
    """
    new = -len(target)
    for name, value in delta.items():
        known = target.get(name)
        if isinstance(value, str):
            _merge_text(target, name, value)
        elif isinstance(value, dict):
            if not isinstance(known, dict):
                known = target[name] = {}
            new += merge(known, value)
        elif isinstance(value, list):
            if not isinstance(known, Parts):
                before, known = known, Parts()
                target[name] = known
                if isinstance(before, Text) and before.joined():
                    known.items.append(before)
            new += _merge_list(known, value)
        elif value is not None or name not in target:  # null does not erase what is there
            target[name] = value
    return new + len(target)


def _merge_text(target: dict[str, Any], name: str, value: str) -> None:
    known = target.get(name)
    if name in KEPT:
        if (not value and name in target) or (known and isinstance(known, str)):
            return
        target[name] = value
    elif isinstance(known, Text):
        if name != "name" or not known.equals(value):
            known.add(value)
    elif isinstance(known, Parts):
        if not value:
            return
        if known.items and isinstance(known.items[-1], Text):
            known.items[-1].add(value)
        else:
            known.items.append(Text(value))
    elif value or known is None:
        target[name] = Text(value)


def _merge_list(target: Parts, parts: list[Any]) -> int:
    """Returns how many members and parts are new."""
    new = -len(target.items)
    for part in parts:
        if isinstance(part, dict):
            if (known := target.add(part)) is not None:
                new += merge(known, part)
        elif isinstance(part, list):
            nested = Parts()
            new += _merge_list(nested, part)
            target.items.append(nested)
        else:
            target.items.append(part)
    return new + len(target.items)


def adds_up(known: dict[str, Any], delta: dict[str, Any], is_same: bool = False) -> bool:
    """Whether `merge` loses nothing of *delta*, and mistakes nothing.

    *is_same*: *delta* names itself again, so a name in it that is known is a repetition.
    """
    is_same = is_same or (bool(delta.get("id")) and delta["id"] == known.get("id"))
    for name, value in delta.items():
        if value is None or value == "":
            continue
        there = known.get(name)
        kind = type(value)
        if kind is str:
            if type(there) is Text:
                fits = name != "name" or is_same or not there.equals(value)
            else:
                fits = not there or there == value or type(there) is Parts
        elif kind is dict:
            fits = adds_up({} if there is None else there, value, is_same) if there is None or type(there) is dict else False
        elif kind is list:
            fits = there is None or type(there) is Text or type(there) is Parts
            fits = fits and _parts_add_up(there if type(there) is Parts else Parts(), value)
        else:
            fits = there is None or (type(there) is kind and bool(there == value))
        if not fits:
            return False
    return True


def _parts_add_up(known: Parts, parts: list[Any]) -> bool:
    if known.objects + len(parts) > MAX_PARTS and known.objects + sum(isinstance(part, dict) for part in parts) > MAX_PARTS:
        return False
    if len(parts) == 1 and type(parts[0]) is dict:  # nearly always
        return not known.is_shared(parts[0]) and adds_up(known.find(parts[0]) or {}, parts[0])
    places: dict[Any, set[Any]] = {}  # the ids at each index
    for part in parts:
        if isinstance(part, list) and not _parts_add_up(Parts(), part):
            return False
        if not isinstance(part, dict):
            continue
        found, place = known.find(part), _place(part)
        if place == (None, None) and isinstance(kind := part.get("type"), str) and isinstance(part.get(kind), list):
            place = (kind, "")  # such parts are merged one into the other
        if known.is_shared(part) or not adds_up(found or {}, part):
            return False
        if _is_taken(place, places) or (found is not None and place == (None, None)):
            return False
        places.setdefault(place[0], set()).add(place[1])
    return True


def _is_taken(place: tuple[Any, str | None], places: dict[Any, set[Any]]) -> bool:
    """Whether a part with *place* may be one of those with *places*, which the same delta has."""
    index, own_id = place
    if index not in places:
        return False
    if index is None:
        return own_id is not None and own_id in places[index]
    return own_id is None or not places[index].isdisjoint((None, own_id))


def plain(value: Any) -> Any:
    """As JSON."""
    if isinstance(value, Text):
        return value.joined()
    if isinstance(value, dict):
        return {name: plain(item) for name, item in value.items()}
    return [plain(item) for item in value.items] if isinstance(value, Parts) else value
