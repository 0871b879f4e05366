"""Numbers that workers write and one other process reads: in memory that they share.

Each worker has a page, which only it writes, so there is no lock between processes. A page holds
its series one after the other: a line of its directory says which, the numbers follow the order of
those lines. Another worker that takes over a page counts on.
"""

from __future__ import annotations

import json
import mmap
import threading
from bisect import bisect_left
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from .catalogue import METRICS, Metric

NUMBERS = 32_768
"""Of one page: about 2,000 histograms. Memory that is not used is not taken."""
DIRECTORY_BYTES = 1 << 20
HEAD = 1
DROPPED = "series_dropped_total"


class Series(NamedTuple):
    metric: Metric
    labels: tuple[str, ...]
    numbers: Sequence[float]
    """Of a histogram: its buckets, each on its own, then the sum of all values."""


class Page:
    """Made before the fork."""

    def __init__(self, numbers: int = NUMBERS, directory_bytes: int = DIRECTORY_BYTES) -> None:
        memory = memoryview(mmap.mmap(-1, (HEAD + numbers) * 8 + directory_bytes))
        self.head = memory[: HEAD * 8].cast("Q")
        """How long the directory is. Written after what is in it."""
        self.numbers = memory[HEAD * 8 : (HEAD + numbers) * 8].cast("d")
        self.directory = memory[(HEAD + numbers) * 8 :]

    def series(self) -> Iterator[tuple[Metric, tuple[str, ...], int]]:
        """What it holds, with the place of the first number."""
        place = 0
        for line in bytes(self.directory[: self.head[0]]).splitlines():
            name, *labels = json.loads(line)
            yield METRICS[name], tuple(labels), place
            place += METRICS[name].words


class Board:
    """The pages of all workers."""

    def __init__(self, workers: int = 1) -> None:
        self.pages = [Page() for _ in range(workers)]

    def read(self) -> Iterator[Series]:
        """Of all pages: the same series comes once for each that has it."""
        for page in self.pages:
            for metric, labels, place in page.series():
                yield Series(metric, labels, page.numbers[place : place + metric.words].tolist())


class Counter:
    """One series, for who counts often. Where there is no room for it, nobody reads it."""

    __slots__ = ("_numbers", "_place")

    def __init__(self, numbers: memoryview[float], place: int) -> None:
        self._numbers, self._place = numbers, place

    def add(self, amount: float = 1.0) -> None:
        self._numbers[self._place] += amount


class Histogram:
    """One series. Where there is no room for it, nothing is observed."""

    __slots__ = ("_bounds", "_numbers", "_place", "_sum")

    def __init__(self, numbers: memoryview[float], place: int | None, bounds: tuple[float, ...]) -> None:
        self._numbers, self._bounds = numbers, bounds
        self._place = place
        self._sum = (place or 0) + len(bounds) + 1

    def observe(self, value: float, times: int = 1) -> None:
        """*times*: as if it had been observed so often."""
        if self._place is not None:
            self._numbers[self._place + bisect_left(self._bounds, value)] += times
            self._numbers[self._sum] += value * times


class Meter:
    """Writes one page. Each series must be written by one thread only."""

    def __init__(self, page: Page) -> None:
        """Counters go on where another worker left them; gauges begin at 0."""
        self._page, self._numbers = page, page.numbers
        self._making = threading.RLock()
        self._used = 0
        self._places: dict[tuple[str, ...], int] = {}
        self._in_family: dict[str, set[tuple[str, ...]]] = {}
        for metric, labels, place in page.series():
            self._places[(metric.name, *labels)] = place
            self._used = place + metric.words
            if metric.kind == "gauge":
                self._numbers[place] = 0.0
        self.add(DROPPED, amount=0.0)

    def add(self, name: str, *labels: str, amount: float = 1.0) -> None:
        place = self._places.get((name, *labels))
        if place is None:
            place = self._make((name, *labels))
        self._numbers[place] += amount

    def counter(self, name: str, *labels: str) -> Counter:
        key = (name, *labels)
        return Counter(self._numbers, self._places[key] if key in self._places else self._make(key))

    def set(self, name: str, *labels: str, value: float) -> None:
        place = self._places.get((name, *labels))
        if place is None:
            place = self._make((name, *labels))
        self._numbers[place] = value

    def histogram(self, name: str, *labels: str) -> Histogram:
        key = (name, *labels)
        place = self._places[key] if key in self._places else self._make(key)
        return Histogram(self._numbers, place if place != self._spare else None, METRICS[name].bounds)

    def set_family(self, name: str, values: Mapping[tuple[str, ...], float]) -> None:
        """All series of the gauge *name* that this page shows. Those that it had besides are 0."""
        known = self._in_family.setdefault(name, set())
        for labels in known - values.keys():
            self.set(name, *labels, value=0.0)
        for labels, value in values.items():
            self.set(name, *labels, value=value)
        known.update(values)

    @property
    def _spare(self) -> int:
        """Where numbers go that there is no room for: nobody reads it."""
        return len(self._numbers) - 1

    def _make(self, key: tuple[str, ...]) -> int:
        with self._making:
            if key in self._places:
                return self._places[key]
            page, line = self._page, json.dumps(key).encode() + b"\n"
            end, place, words = page.head[0], self._used, METRICS[key[0]].words
            if end + len(line) > len(page.directory) or place + words > self._spare:
                self._places[key] = self._spare
                self.add(DROPPED)
                return self._spare
            page.directory[end : end + len(line)] = line
            page.head[0] = end + len(line)
            self._used, self._places[key] = place + words, place
            return place
