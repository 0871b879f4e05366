"""`audit verify-pack`: whether a pack is what the log's key signed. Needs no log, no settings."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from zipfile import BadZipFile, ZipFile, ZipInfo

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
    try:
        with ZipFile(pack) as zip_file:
            proof = SliceProof.parse(_read(zip_file, "slice", MAX_SLICE_BYTES))
            info = zip_file.getinfo("log.jsonl")
            report = verify_slice(split_lines(_pieces(zip_file, info, progress)), proof, key)
            changed, texts = _texts(zip_file)
            own = _read(zip_file, "log.vkey", MAX_NOTE_BYTES).decode("utf-8", "replace").strip()
    except (BadZipFile, KeyError, NotImplementedError, EOFError) as error:
        raise InvalidRequest(f"{pack} is not an evidence pack, or it is damaged: {error}.") from error
    return VerifiedPack(report, texts, changed, key is not None and own == key.text())


def _read(zip_file: ZipFile, name: str, most: int) -> bytes:
    with zip_file.open(name) as file:
        return file.read(most + 1)


def _pieces(zip_file: ZipFile, info: ZipInfo, progress: Callable[[int, int], None]) -> Iterator[bytes]:
    read = 0
    with zip_file.open(info) as file:
        while piece := file.read(PIECE):
            yield piece
            read += len(piece)
            progress(read, info.file_size)


def _texts(zip_file: ZipFile) -> tuple[tuple[str, ...], int]:
    """The names of long texts that were changed, and how many are right."""
    changed, right = [], 0
    for info in zip_file.infolist():
        if not info.filename.startswith("texts/"):
            continue
        with zip_file.open(info) as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()  # type: ignore[arg-type]  # a ZipExtFile reads as it needs
        if info.filename.endswith(f"/{digest}"):
            right += 1
        else:
            changed.append(info.filename)
    return tuple(changed), right
