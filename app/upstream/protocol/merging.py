"""One message of a streamed answer, from which a record shows all that was delivered."""

from __future__ import annotations

from typing import Any

import orjson

from ...kit.foreign_json import dense, dumps, storable
from .parts import KEPT, Text, adds_up, merge, plain
from .room import Room


class Message:
    """What the deltas of a message add up to, and the deltas themselves if the sum loses something.

    Takes little more memory than its texts, however small the deltas are.
    """

    def __init__(self, room: Room | None = None) -> None:
        self._room = room or Room()
        self._sum: dict[str, Any] = {}
        self._run = self._sum  # the sum of the last deltas, as long as they add up; at first of all
        self._runs: list[bytes] = []  # the sums before it, as JSON

    def add(self, delta: dict[str, Any]) -> None:
        """Raises AttributeError if *delta* is no object."""
        if len(delta) == 1:  # nearly always: the next piece of a text
            ((name, value),) = delta.items()
            if type(value) is str and name not in KEPT and name != "name":
                known, of_run = self._sum.get(name), self._run.get(name)
                if type(known) is Text and type(of_run) is Text:
                    known.add(value)
                    if of_run is not known:
                        of_run.add(value)
                    return
        if not adds_up(self._run, delta):
            self._end_run()
            if not adds_up({}, delta):
                self._keep(dumps(storable(delta)))
                self._room.take(merge(self._sum, delta))
                return
        self._room.take(merge(self._sum, delta))
        if self._run is not self._sum:
            self._room.take(merge(self._run, delta))

    def add_raw(self, data: bytes) -> None:
        """Keep an event as it came: parsers disagree about what its delta is."""
        self._end_run()
        self._keep(orjson.dumps(data.decode("utf-8", "replace")))

    def plain(self) -> dict[str, Any]:
        """The sum as a JSON object, `content` first."""
        members: dict[str, Any] = plain(self._sum)
        return {"content": members.pop("content"), **members} if "content" in members else members

    def events(self) -> list[Any]:
        """The deltas in their order, each with those after it that add up; empty if the sum says it
        all. An event that was kept as it came is a text."""
        if not self._runs:
            return []
        last = [plain(self._run)] if self._run else []
        return [*map(orjson.loads, self._runs), *last]

    def _end_run(self) -> None:
        if self._run:
            self._keep(dumps(storable(plain(self._run))))
        self._run = {}

    def _keep(self, run: bytes) -> None:
        self._runs.append(dense(run))
        self._room.take()
