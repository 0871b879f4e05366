"""Copies the log to a file, byte for byte, with its tree, checkpoint and long texts beside it.

The copy is what one machine has: `audit verify --log` and tools/verify_log.py read it, and `audit
import` takes it.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from ..audit.evidence.signed_log import SignedLog
from ..audit.evidence.stored_tree import StoredTree
from ..audit.format.note import VerifierKey, verify_checkpoint
from ..audit.format.record import split_lines
from ..audit.format.shortening import digests_in
from ..audit.log import AuditLog
from ..audit.storage.jsonl import JsonlStore
from ..audit.storage.long_texts import LongTexts
from ..audit.storage.store import TextStore
from ..errors import AuditCorrupt, InvalidRequest, VerificationFailed
from ..kit.durable_files import sync_folder, write_file
from ..settings import load_settings
from ..wiring.audit import open_audit, open_texts, signed_note
from ..wiring.start_checks import verify_setup
from .verify_log import own_key

Progress = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class Exported:
    log: Path
    size: int
    signed: int | None
    """Records that the checkpoint covers. None: nothing was signed yet."""
    texts: int
    """Long texts that the records name and that were kept."""
    problem: str | None
    """Why the records are not what was signed. They were written all the same, as evidence."""


def export_log(to: Path, progress: Progress = lambda done, total: None) -> Exported:
    """Write every durable record and the texts they name to the new file *to*; durable on return.

    *progress* is called with the bytes written so far and their total. Raises InvalidRequest where
    *to* exists, OSError, AuditUnavailable, EvidenceUnavailable.
    """
    settings = load_settings()
    verify_setup(settings)
    tree = StoredTree.beside(to)
    for path in (to, tree.folder):
        if path.exists():
            raise InvalidRequest(f"{path} is there already, and is not overwritten: name a new file.")
    note, log = signed_note(settings), open_audit(settings)  # the note first: then the log has all that it covers
    key = own_key(settings) or _named_key(log)
    try:
        size = log.durable_size()
        part = to.with_name(f"{to.name}.part")
        part.unlink(missing_ok=True)
        _write(part, log, size, progress)
    finally:
        log.close()
    texts, problem = _copy_texts(part, open_texts(settings), LongTexts.beside(to))
    signed = None
    if key is not None and note is not None:
        signed, changed = _write_tree(JsonlStore(part), tree, note, key)
        problem = changed or problem
    os.rename(part, to)
    sync_folder(to.parent)
    return Exported(to, size, signed, texts, problem)


def _named_key(log: AuditLog) -> VerifierKey | None:
    """The key that the first record names: an auditor's machine has no other."""
    try:
        return VerifierKey.parse(str(log.first_details().get("vkey")))
    except VerificationFailed:
        return None


def _write(part: Path, log: AuditLog, size: int, progress: Progress) -> None:
    def pieces() -> Iterator[bytes]:
        done = 0
        for piece in log.pieces(size):
            yield piece
            done += len(piece)
            progress(done, size)

    write_file(part, pieces())


def _copy_texts(part: Path, texts: TextStore, to: LongTexts) -> tuple[int, str | None]:
    """How many there are, and which of them is not what a record names."""
    count, problem = 0, None
    with closing(texts), closing(JsonlStore(part)) as copy:
        lines = split_lines(copy.chunks(copy.size())) if texts.exists() else ()
        for name in sorted({name for line in lines for name in digests_in(line)}):
            text = texts.read(name)
            if text is None:
                continue
            to.keep({name: text})
            count += 1
            if sha256(text).hexdigest() != name:
                problem = f"The long text {name} is not what a record names: it was changed."
    return count, problem


def _write_tree(store: JsonlStore, tree: StoredTree, note: bytes, key: VerifierKey) -> tuple[int | None, str | None]:
    """The size of the checkpoint, and what is wrong with the records under it."""
    signed, problem = None, None
    with closing(store), tree.locked(timeout_seconds=0):
        try:
            checkpoint = verify_checkpoint(note, key)
            signed = checkpoint.size
            SignedLog(store, tree, key).rebuild_tree(checkpoint)
        except (AuditCorrupt, VerificationFailed) as error:
            problem = error.detail
        tree.publish(note, key.text())
    return signed, problem
