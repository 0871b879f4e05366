"""The log's tree as it is stored beside the log: flat files of hashes, where each line ends, and the signed head.

`audit_log.tree/` holds `hashes.0`, `hashes.1`, … (the hashes of one level of tiles, one after another, so that a tile of any
width is a piece of one file), `ends` (where each line ends, 8 bytes each, big-endian), `checkpoint` (the signed head that is
published), `vkey` (for who copies the folder) and `lock`. All but `checkpoint` is derived from the log: it is believed as
far as it gives the signed root, and made anew where it does not.
"""

from __future__ import annotations

import fcntl
import itertools
import os
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from ...errors import EvidenceUnavailable, VerificationFailed
from ...kit.durable_files import open_file, sync_folder, write_at
from ..format.merkle import HASH_BYTES, HashReader
from ..format.record import MAX_LINE_BYTES
from ..format.tiles import ENTRIES, WIDTH, Tile, grow, reader_of

END_BYTES = 8
LOCK_POLL_SECONDS = 0.01


class StoredTree:
    """Reading takes no lock: what stands before the signed size never changes. Whoever writes holds `locked`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder.absolute()

    @classmethod
    def beside(cls, log: Path) -> StoredTree:
        """`audit_log.tree` of `audit_log.jsonl`."""
        return cls(log.resolve().with_suffix(".tree"))

    # --- reading ---------------------------------------------------------------------------------

    def checkpoint(self) -> bytes | None:
        """The published head, as it was signed; nothing of it verified. None: nothing was signed yet."""
        return self._read("checkpoint")

    def unpublished(self) -> bytes | None:
        """A head that is durable and whose publication was cut short; it may be torn."""
        return self._read("checkpoint.new")

    def fetch(self, tile: Tile) -> bytes:
        """The bytes of a hash tile of any width that is stored. Raises VerificationFailed if that is not stored."""
        if tile.level == ENTRIES:
            raise ValueError("an entry bundle is made of lines")
        start = tile.index * WIDTH * HASH_BYTES
        return self._piece(f"hashes.{tile.level}", start, tile.width * HASH_BYTES)

    def reader(self, size: int) -> HashReader:
        return reader_of(size, self.fetch)

    def bounds(self, first: int, last: int) -> list[int]:
        """Where line *first* begins, then where each line up to *last* ends, in bytes: as it is stored, and no line too long.

        Raises VerificationFailed.
        """
        start = max(0, first - 1)
        data = self._piece("ends", start * END_BYTES, (last + 1 - start) * END_BYTES)
        ends = [int.from_bytes(data[at : at + END_BYTES], "big") for at in range(0, len(data), END_BYTES)]
        bounds = ends if first else [0, *ends]
        if not all(0 < end - start <= MAX_LINE_BYTES for start, end in itertools.pairwise(bounds)):
            raise VerificationFailed("The stored ends of lines are not those of lines.")
        return bounds

    def _piece(self, name: str, start: int, size: int) -> bytes:
        try:
            with (self.folder / name).open("rb", buffering=0) as file:
                data = os.pread(file.fileno(), size, start)
        except FileNotFoundError:
            data = b""
        except OSError as error:
            raise EvidenceUnavailable(f"The log's tree cannot be read: {error.strerror}.") from error
        if len(data) != size:
            raise VerificationFailed("The stored tree is shorter than it should be.")
        return data

    def _read(self, name: str) -> bytes | None:
        try:
            return (self.folder / name).read_bytes()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise EvidenceUnavailable(f"The log's signed head cannot be read: {error.strerror}.") from error

    # --- writing: under the lock, durable on return, OSError becomes EvidenceUnavailable -----------

    @contextmanager
    def locked(self, timeout_seconds: float) -> Iterator[None]:
        """The right to write, over all processes. Raises EvidenceUnavailable if another has it for too long."""
        with _told("written"):
            if not self.folder.is_dir():
                self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
                sync_folder(self.folder.parent)
            fd = open_file(self.folder / "lock", create=True)
        try:
            deadline = time.monotonic() + timeout_seconds
            while not _try_lock(fd):
                if time.monotonic() >= deadline:
                    raise EvidenceUnavailable(retry_after=1)
                time.sleep(LOCK_POLL_SECONDS)
            yield
        finally:
            with suppress(OSError):  # the descriptor is gone all the same, and the lock with it
                os.close(fd)

    def extend(self, old: int, leaves: Sequence[bytes], ends: Sequence[int]) -> None:
        """Add the leaf hashes that follow *old* records, and where their lines end. What stood past *old* is written over."""
        with _told("written"):
            pieces = [(f"hashes.{tile.level}", tile.index * WIDTH * HASH_BYTES, data) for tile, data in self._grown(old, leaves)]
            pieces.append(("ends", old * END_BYTES, b"".join(end.to_bytes(END_BYTES, "big") for end in ends)))
            for name in dict.fromkeys(name for name, _, _ in pieces):
                self._write(name, [(offset, data) for one, offset, data in pieces if one == name])

    def _grown(self, old: int, leaves: Sequence[bytes]) -> list[tuple[Tile, bytes]]:
        return list(grow(old, leaves, self.fetch))

    def _write(self, name: str, pieces: Sequence[tuple[int, bytes]]) -> None:
        path = self.folder / name
        is_new = not path.exists()
        fd = open_file(path, create=True)
        try:
            for offset, data in pieces:
                write_at(fd, data, offset)
            os.fdatasync(fd)
        finally:
            os.close(fd)
        if is_new:
            sync_folder(self.folder)

    def publish(self, note: bytes, vkey: str) -> None:
        """Make a signed head durable, under another name, and only then the one that is served."""
        with _told("published"):
            if self._read("vkey") != (line := f"{vkey}\n".encode()):
                self._replace("vkey", line)
            self._replace("checkpoint", note)

    def is_damaged(self) -> bool:
        with _told("read"):
            return (self.folder / "damaged").exists()

    def mark_damaged(self) -> None:
        """Tell whoever signs next to make the tree anew from the log."""
        with suppress(OSError):
            (self.folder / "damaged").touch(mode=0o600)

    def mark_whole(self) -> None:
        with suppress(OSError):
            (self.folder / "damaged").unlink(missing_ok=True)

    def discard_unpublished(self) -> None:
        with suppress(OSError):
            (self.folder / "checkpoint.new").unlink(missing_ok=True)

    def _replace(self, name: str, data: bytes) -> None:
        """A loss of power after the rename may bring the old name back, and then the new one stands beside it."""
        new = self.folder / f"{name}.new"
        new.unlink(missing_ok=True)
        fd = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            write_at(fd, data, 0)
            os.fsync(fd)
        finally:
            os.close(fd)
        sync_folder(self.folder)
        os.rename(new, self.folder / name)


def _try_lock(fd: int) -> bool:
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError as error:
        raise EvidenceUnavailable(f"The log's tree cannot be locked: {error.strerror}.") from error
    return True


@contextmanager
def _told(what: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise EvidenceUnavailable(f"The log's tree cannot be {what}: {error.strerror}.") from error
