"""Counts that all processes of one service share, in batches. `kill -9` of any process loses none.

One batch is open, and all counts go there. A process that takes it owns it until it is done with
it; from then on another one is open. A batch is a file: its id, then a line for each kind.
"""

from __future__ import annotations

import errno
import os
import secrets
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import orjson

from .shared_folder import SharedFolder, open_shared, write_whole
from .storage_faults import storage_faults

MAX_KINDS = 20_000
"""Kinds told apart in one batch, in about 2 MB of shared memory. The rest share one count."""
OPEN = "limits-counts"
"""The file of the open batch. A taken one is named `limits-counts-<time>-<owner>`."""
COUNT_BYTES = 16
"""Lines are whole multiples of it, so that a count lies in one page and is written at once."""
HEAD_BYTES = 48


class Kind(NamedTuple):
    """What is counted together: the same code for the same principal or network."""

    user_id: str | None
    network: str | None
    code: str


OTHER = Kind(None, None, "other")


@dataclass(frozen=True, slots=True)
class CountBatch:
    """Taken by this process: nobody else writes it down, unless this process is killed."""

    file: Path
    id: str
    """128 random bits in hex. The same one again is the same batch."""
    counted: Counter[Kind]


class SharedCounts:
    """Raises LimitsUnavailable wherever the shared memory cannot be used."""

    def __init__(self, shared: SharedFolder, owner: int = 0, owners: int = 1) -> None:
        """*owner*: the number of this process, from 0, out of *owners*.

        What its predecessor took and did not finish is its own now. The first process also has what
        was taken under numbers that no process has any more.
        """
        self._shared = shared
        self._owner, self._owners = owner, owners
        self._mine: set[Path] | None = None  # None: it has taken nothing yet
        self._lines = _Lines()

    def add(self, counted: Mapping[Kind, int]) -> None:
        """All or nothing."""
        with storage_faults(), self._shared as folder:
            self._lines.add(folder / OPEN, counted)

    def take(self, with_open: bool, counted: Mapping[Kind, int]) -> list[CountBatch]:
        """Add *counted*; the batches that are this process's now, *with_open* the open one too."""
        mine = set() if self._mine is None else self._mine
        with storage_faults():
            with self._shared as folder:
                self._lines.add(folder / OPEN, counted)
                if with_open and (folder / OPEN).exists():
                    taken = folder / f"{OPEN}-{time.monotonic_ns():020}-{self._owner}"
                    mine.add((folder / OPEN).rename(taken))
            files = sorted(folder.glob(f"{OPEN}-*"))
            batches = [_read(file) for file in files if file in mine or (self._mine is None and self._inherits(file))]
        self._mine = {one.file for one in batches}
        return batches

    def done(self, batch: CountBatch) -> None:
        """It is written down: forget it."""
        with storage_faults():
            batch.file.unlink(missing_ok=True)
        if self._mine:
            self._mine.discard(batch.file)

    def _inherits(self, file: Path) -> bool:
        owner = int(file.name.rpartition("-")[2])
        return owner == self._owner or (self._owner == 0 and owner >= self._owners)


class _Lines:
    """Where the open batch has the count of each kind, as far as this process has read it."""

    def __init__(self) -> None:
        self._head, self._end = b"", 0
        self._places: dict[Kind, int] = {}

    def add(self, file: Path, counted: Mapping[Kind, int]) -> None:
        """All or nothing. Raises OSError."""
        if not counted:
            return
        fd = open_shared(file)
        try:
            with _made_here():
                self._read_on(fd)
                self._count(fd, counted)
        except BaseException:
            self._head = b""  # read it all again the next time
            raise
        finally:
            os.close(fd)

    def _read_on(self, fd: int) -> None:
        head = os.pread(fd, HEAD_BYTES, 0)
        if len(head) < HEAD_BYTES:  # new
            head = _line(secrets.token_hex(16).encode())
            write_whole(fd, head, 0)
        if head != self._head:
            self._head, self._end, self._places = head, len(head), {}
        for line, kind, _ in _parse(os.pread(fd, os.fstat(fd).st_size, self._end)):
            self._places[kind] = self._end
            self._end += len(line) + 1

    def _count(self, fd: int, counted: Mapping[Kind, int]) -> None:
        end, lines, counts = self._end, list[bytes](), Counter[int]()
        for kind, count in counted.items():
            if kind not in self._places and len(self._places) >= MAX_KINDS:
                kind = OTHER
            if kind not in self._places:
                self._places[kind] = end
                lines.append(_line(b"%016x" % 0 + orjson.dumps(tuple(kind))))
                end += len(lines[-1])
            counts[self._places[kind]] += count
        if lines:
            write_whole(fd, b"".join(lines), self._end)
            self._end = end
        for place, count in counts.items():
            os.pwrite(fd, b"%016x" % (int(os.pread(fd, COUNT_BYTES, place), 16) + count), place)


def _line(text: bytes) -> bytes:
    """With spaces up to a whole multiple of COUNT_BYTES."""
    return text + b" " * (-(len(text) + 1) % COUNT_BYTES) + b"\n"


def _parse(data: bytes) -> Iterator[tuple[bytes, Kind, int]]:
    """The whole lines of *data*, their kinds and counts: a killed process may leave a part."""
    for line in data.split(b"\n")[:-1]:
        yield line, Kind(*orjson.loads(line[COUNT_BYTES:])), int(line[:COUNT_BYTES], 16)


def _read(file: Path) -> CountBatch:
    data = file.read_bytes()
    with _made_here():
        counted = Counter({kind: count for _, kind, count in _parse(data[HEAD_BYTES:]) if count})
        return CountBatch(file, data[:HEAD_BYTES].decode().strip(), counted)


@contextmanager
def _made_here() -> Iterator[None]:
    """Raises OSError where lines are none of this file."""
    try:
        yield
    except (ValueError, TypeError) as error:
        raise OSError(errno.EINVAL, "the counts of refusals were changed by something else") from error
