"""`audit verify-pack`: whether a pack is what the log's key signed. Needs no log, no settings."""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO
from zipfile import BadZipFile, ZipFile

from ...audit.format.note import MAX_NOTE_BYTES, VerifierKey
from ...audit.format.record import split_lines
from ...audit.format.slice import MAX_SLICE_BYTES, SliceProof
from ...audit.verification.slice_check import SliceReport, verify_slice
from ...errors import InvalidRequest

PIECE = 1 << 20


@dataclass(frozen=True, slots=True)
class VerifiedPack:
    report: SliceReport
    texts: int
    """Long texts in the pack whose bytes give their name."""
    changed_texts: tuple[str, ...]
    same_key: bool
    """The key in the pack is the one that was given."""

    @property
    def ok(self) -> bool:
        return self.report.ok and not self.changed_texts


def verify_pack(
    pack: Path, key: VerifierKey | None, progress: Callable[[int, int], None] = lambda read, total: None
) -> VerifiedPack:
    """Check the records of *pack* against its proof, and that against *key*.

    Raises InvalidRequest for a file that is no pack, VerificationFailed for a proof that proves
    nothing, OSError.
    """
    with _damage_named(pack):
        zip_file = ZipFile(pack)
    with zip_file:
        proof = SliceProof.parse(_read(zip_file, "slice", MAX_SLICE_BYTES))
        report = verify_slice(split_lines(_pieces(zip_file, "log.jsonl", progress)), proof, key)
        changed, texts = _texts(zip_file)
        own = _read(zip_file, "log.vkey", MAX_NOTE_BYTES).decode("utf-8", "replace").strip()
    return VerifiedPack(report, texts, changed, key is not None and own == key.text())


@contextmanager
def _damage_named(pack: object) -> Iterator[None]:
    """Only around what reads the ZIP, so that a fault of ours is not taken for one of the pack.

    RuntimeError: it is encrypted, or packed in a way that is unknown here.
    """
    try:
        yield
    except (BadZipFile, KeyError, RuntimeError, EOFError, zlib.error) as error:
        raise InvalidRequest(f"{pack} is not an evidence pack, or it is damaged: {error}.") from error


def _read(zip_file: ZipFile, name: str, most: int) -> bytes:
    with _damage_named(zip_file.filename), zip_file.open(name) as file:
        return file.read(most + 1)


def _pieces(zip_file: ZipFile, name: str, progress: Callable[[int, int], None]) -> Iterator[bytes]:
    read = 0
    with _damage_named(zip_file.filename):
        file, size = zip_file.open(name), zip_file.getinfo(name).file_size
    with file:
        while piece := _piece(zip_file, file):
            yield piece
            read += len(piece)
            progress(read, size)


def _piece(zip_file: ZipFile, file: IO[bytes]) -> bytes:
    with _damage_named(zip_file.filename):
        return file.read(PIECE)


def _texts(zip_file: ZipFile) -> tuple[tuple[str, ...], int]:
    """The names of long texts that were changed, and how many are right."""
    changed, right = [], 0
    for info in zip_file.infolist():
        if not info.filename.startswith("texts/"):
            continue
        with _damage_named(zip_file.filename), zip_file.open(info) as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()  # type: ignore[arg-type]  # a ZipExtFile reads as it needs
        if info.filename.endswith(f"/{digest}"):
            right += 1
        else:
            changed.append(info.filename)
    return tuple(changed), right
