"""The log's Merkle tree on disk: the folder `audit_log.tree` beside the log.

| file | content |
| --- | --- |
| `hashes.0`, `hashes.1`, … | the hashes of one level of tiles; a tile is a piece of one file |
| `ends` | the byte where each line ends: 8 bytes a line, big-endian |
| `checkpoint` | the signed checkpoint that is served |
| `checkpoint.new` | a checkpoint whose publication was interrupted |
| `checkpoint.kept` | the last one that was seen, written when `checkpoint` was lost or altered |
| `vkey` | the verifier key, for those who copy the folder |
| `lock`, `damaged` | held by the process that writes; set by a reader that met damage |

All but the checkpoint is derived from the log. It is used only as far as it gives the signed root,
and rebuilt where it does not.
"""

from __future__ import annotations

import fcntl
import itertools
import os
import struct
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from stat import S_ISREG
from typing import NoReturn

from ...errors import EvidenceUnavailable, VerificationFailed
from ...kit.durable_files import is_same_file, open_file, replace_file, sync_folder, write_file, write_pieces
from ..format.merkle import HASH_BYTES, HashReader
from ..format.record import MAX_LINE_BYTES
from ..format.tiles import ENTRIES, HEIGHT, WIDTH, Tile, grow, reader_of

END_BYTES = 8
LOCK_POLL_SECONDS = 0.01


class StoredTree:
    """Reading takes no lock: bytes before the signed size never change. Writing needs `locked`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder.absolute()

    @classmethod
    def beside(cls, log: Path) -> StoredTree:
        """`audit_log.tree` of `audit_log.jsonl`."""
        return cls(log.resolve().with_suffix(".tree"))

    # --- reading: raises EvidenceUnavailable where a file cannot be read -------------------------

    def checkpoint(self) -> bytes | None:
        """The published checkpoint, unverified. None: nothing was signed yet."""
        return self._read("checkpoint")

    def checkpoint_age_seconds(self) -> float:
        """Since the published checkpoint was written, by the wall clock."""
        with _as_unavailable("read"):
            return max(0.0, time.time() - (self.folder / "checkpoint").stat().st_mtime)

    def unpublished(self) -> bytes | None:
        """A checkpoint whose publication was interrupted, unverified. It may be torn."""
        return self._read("checkpoint.new")

    def verifier_key(self) -> str | None:
        """What the file `vkey` holds, unverified."""
        line = self._read("vkey")
        return None if line is None else line.decode("utf-8", "replace").removesuffix("\n")

    def look(self, size: int) -> tuple[int, ...] | None:
        """Changes whenever a file of the tree of *size* records does. None: one is too short.

        Reads no content.
        """
        needed, level = {"ends": size * END_BYTES}, 0
        while count := size >> HEIGHT * level:
            needed[f"hashes.{level}"], level = count * HASH_BYTES, level + 1
        stamp: list[int] = []
        with _as_unavailable("read"), suppress(FileNotFoundError):
            for name, length in needed.items():
                found = (self.folder / name).stat()
                if found.st_size < length:
                    return None
                stamp += [found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns]
            return tuple(stamp)
        return None

    def fetch(self, tile: Tile) -> bytes:
        """A hash tile of any width. Raises VerificationFailed if it is not stored."""
        if tile.level == ENTRIES:
            raise ValueError("an entry bundle is made of lines")
        start = tile.index * WIDTH * HASH_BYTES
        return self._piece(f"hashes.{tile.level}", start, tile.width * HASH_BYTES)

    def reader(self, size: int) -> HashReader:
        """Reads the nodes of the tree of the first *size* records."""
        return reader_of(size, self.fetch)

    def bounds(self, first: int, last: int) -> list[int]:
        """The byte where line *first* begins, then the byte where each line up to *last* ends.

        Raises VerificationFailed if they are not stored, or a line would be empty or too long.
        """
        start = max(0, first - 1)
        ends = ends_in(self.stored_ends(start, last + 1 - start))
        bounds = ends if first else [0, *ends]
        if not all(0 < end - start <= MAX_LINE_BYTES for start, end in itertools.pairwise(bounds)):
            raise VerificationFailed("The stored ends of lines are not those of lines.")
        return bounds

    def stored_ends(self, first: int, count: int) -> bytes:
        """What `ends` holds of *count* lines. Raises VerificationFailed if they are not stored."""
        return self._piece("ends", first * END_BYTES, count * END_BYTES)

    def _piece(self, name: str, start: int, size: int) -> bytes:
        data, path = b"", self.folder / name
        with _as_unavailable("read"), suppress(FileNotFoundError):
            if S_ISREG(path.stat().st_mode):  # else see _read
                with path.open("rb", buffering=0) as file:
                    data = os.pread(file.fileno(), size, start)
        if len(data) != size:
            raise VerificationFailed("The stored tree is shorter than it should be.")
        return data

    def _read(self, name: str) -> bytes | None:
        """None also for a folder or a pipe of that name: reading a pipe could wait for a writer."""
        path = self.folder / name
        with _as_unavailable("read"), suppress(FileNotFoundError, NotADirectoryError):
            return path.read_bytes() if S_ISREG(path.stat().st_mode) else None
        return None

    # --- damage ----------------------------------------------------------------------------------

    def is_damaged(self) -> bool:
        with _as_unavailable("read"):
            return (self.folder / "damaged").exists()

    def mark_damaged(self) -> None:
        """Ask the next signer to rebuild the tree from the log."""
        with suppress(OSError):
            (self.folder / "damaged").touch(mode=0o600)

    def mark_intact(self) -> None:
        with suppress(OSError):
            (self.folder / "damaged").unlink(missing_ok=True)

    def fail_damaged(self, cause: VerificationFailed | None = None) -> NoReturn:
        """Mark the tree as damaged and raise EvidenceUnavailable."""
        self.mark_damaged()
        raise EvidenceUnavailable("The log's stored tree is damaged. It is being rebuilt.", retry_after=5) from cause

    # --- writing: under the lock, durable on return, OSError becomes EvidenceUnavailable ---------

    @contextmanager
    def locked(self, timeout_seconds: float) -> Iterator[None]:
        """One writer over all processes. Raises EvidenceUnavailable after *timeout_seconds*."""
        with _as_unavailable("written"):
            if not self.folder.is_dir():
                self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
                sync_folder(self.folder.parent)
            fd = open_file(self.folder / "lock", create=True)
        try:
            deadline = time.monotonic() + timeout_seconds
            while not _is_locked_now(fd):
                if time.monotonic() >= deadline:
                    raise EvidenceUnavailable(retry_after=1)
                time.sleep(LOCK_POLL_SECONDS)
            with _as_unavailable("locked"):
                is_ours = is_same_file(fd, str(self.folder / "lock"))
            if not is_ours:  # it was taken away: the next call makes another
                raise EvidenceUnavailable(retry_after=1)
            yield
        finally:
            with suppress(OSError):  # even if it fails, close(2) releases the lock
                os.close(fd)

    def extend(self, old: int, leaves: Sequence[bytes], ends: Sequence[int]) -> None:
        """Add the leaf hashes that follow the first *old* records, and where their lines end.

        Overwrites what is stored past *old*. Raises VerificationFailed if less is stored.
        """
        with _as_unavailable("written"):
            files: dict[str, list[tuple[int, bytes]]] = {}
            for tile, data in grow(old, leaves, self.fetch):
                files.setdefault(f"hashes.{tile.level}", []).append((tile.index * WIDTH * HASH_BYTES, data))
            files["ends"] = [(old * END_BYTES, b"".join(end.to_bytes(END_BYTES, "big") for end in ends))]
            for name, pieces in files.items():
                write_pieces(self.folder / name, pieces)

    def publish(self, note: bytes, vkey: str) -> None:
        """Make a signed checkpoint durable under another name, and only then serve it."""
        with _as_unavailable("published"):
            if self.verifier_key() != vkey:
                self.write_verifier_key(vkey)
            self._replace("checkpoint", note)

    def write_verifier_key(self, vkey: str) -> None:
        with _as_unavailable("written"):
            self._replace("vkey", f"{vkey}\n".encode())

    def keep_checkpoint(self, note: bytes) -> None:
        """Write *note* to `checkpoint.kept`, for an operator whose `checkpoint` was lost."""
        with _as_unavailable("written"):
            replace_file(self.folder / "checkpoint.kept", note)

    def discard_unpublished(self) -> None:
        with suppress(OSError):
            (self.folder / "checkpoint.new").unlink(missing_ok=True)

    def _replace(self, name: str, data: bytes) -> None:
        """Unlike `replace_file`, this makes the new name durable too, before the rename.

        A loss of power may undo the rename. Then the new checkpoint is still found, as unpublished.
        """
        new = self.folder / f"{name}.new"
        new.unlink(missing_ok=True)
        write_file(new, (data,))
        sync_folder(self.folder)
        os.rename(new, self.folder / name)


def ends_in(data: bytes) -> list[int]:
    """The numbers in a piece of `ends`."""
    return list(struct.unpack(f">{len(data) // END_BYTES}Q", data))


def _is_locked_now(fd: int) -> bool:
    """Whether the lock was free, so that it is ours now."""
    with _as_unavailable("locked"), suppress(BlockingIOError):
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return True
    return False


@contextmanager
def _as_unavailable(done: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise EvidenceUnavailable(f"The log's tree cannot be {done}: {error.strerror}.") from error
