"""`audit pack`: a part of the log, its proof, verifiers, a verdict and a report in one ZIP file."""

from __future__ import annotations

import itertools
import json
import re
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

from ... import __version__
from ...audit.format.merkle import RightEdge, leaf_hash
from ...audit.format.note import Checkpoint, VerifierKey, verify_checkpoint
from ...audit.format.record import GENESIS_HASH, action_of, hash_of, user_of
from ...audit.format.shortening import digests_in
from ...audit.format.slice import SliceProof
from ...audit.log import AuditLog
from ...audit.storage.store import TextStore
from ...audit.verification.report import Report
from ...errors import EvidenceUnavailable, InvalidRequest, VerificationFailed
from ...settings import load_settings
from ...wiring.audit import open_audit, open_texts, signed_note
from ..verify_log import Verified, verify
from .controls import control_map
from .product_verifier import NAME, product_verifier
from .report import Counted, report
from .words import About, readme
from .zip_file import Pack, new_pack

Progress = Callable[[int, int], None]
_TIMESTAMP = re.compile(rb'"timestamp":"([0-9T:.-]{26}Z)"')
SAYS_NOTHING_OF_RECORDS = ("ok", "entries", "head", "problems", "integrity", "signatures", "completeness")
"""Members of the verdict. Not `open`: it names the records that are questions."""
WORK = 3
"""Passes over the log: it is verified, then the part is found, then it is written."""


@dataclass(frozen=True, slots=True)
class Packed:
    pack: Path
    about: About
    verdict: Report


@dataclass(frozen=True, slots=True)
class _Start:
    """Where the part begins: the byte, and what comes before."""

    offset: int
    prev_hash: str
    tree: RightEdge


@dataclass(frozen=True, slots=True)
class _Source:
    """What is packed."""

    log: AuditLog
    size: int
    start: _Start
    note: bytes
    checkpoint: Checkpoint
    key: VerifierKey
    texts: TextStore | None
    """None: the records are withheld, and so are long texts."""


def pack_evidence(
    to: Path,
    since: str | None,
    describe: Callable[[Verified], Mapping[str, Any]],
    *,
    content: bool = True,
    progress: Progress = lambda done, total: None,
) -> Packed:
    """Write the signed records from the moment *since* on (None: all) to the new file *to*.

    *describe* makes the document of the verdict. A log that is not sound is packed all the same, as
    evidence of that. Raises InvalidRequest where *to* exists or no record is that new, OSError,
    EvidenceUnavailable where nothing was signed yet.
    """
    if to.exists():
        raise InvalidRequest(f"{to} is there already, and is not overwritten: name a new file.")
    settings = load_settings()
    note = signed_note(settings)  # before the log's length: then the log has all that it covers
    verified = verify(progress=lambda read, total: progress(read, WORK * total))
    log = open_audit(settings)
    try:
        key, checkpoint = _signed(note, verified.key)
        size = log.durable_size()
        start = _find(log, size, checkpoint.size, since, lambda read: progress(size + read, WORK * size))
        texts = open_texts(settings) if content else None
        source = _Source(log, size, start, note or b"", checkpoint, key, texts)
        with new_pack(to) as pack:
            counted = _write_records(pack, source)
            document = describe(verified)
            shown = document if content else {name: document[name] for name in SAYS_NOTHING_OF_RECORDS}
            _write_evidence(pack, source, json.dumps(shown, indent=2))
            about = _write_words(pack, source, verified.report, counted)
    finally:
        log.close()
    return Packed(to, about, verified.report)


def _signed(note: bytes | None, key: VerifierKey | None) -> tuple[VerifierKey, Checkpoint]:
    if note is None or key is None:
        raise EvidenceUnavailable("Nothing of the log is signed yet, so a pack would prove nothing: start the service once.")
    try:
        return key, verify_checkpoint(note, key)
    except VerificationFailed as error:
        raise EvidenceUnavailable(f"The log's checkpoint proves nothing, and so would a pack: {error.detail}") from error


def _find(log: AuditLog, size: int, signed: int, since: str | None, progress: Callable[[int], None]) -> _Start:
    """The first signed record that is at least as new as *since*, in the order of the log."""
    tree, offset, prev_hash, newest = RightEdge(), 0, GENESIS_HASH, None
    wanted = (since or "").encode()
    for line in itertools.islice(log.lines(0, size), signed):
        found = _TIMESTAMP.search(line, 0, 120)
        newest = found[1].decode() if found else newest
        if since is None or (found is not None and found[1] >= wanted):
            return _Start(offset, prev_hash, tree)
        tree.extend([leaf_hash(line.removesuffix(b"\n"))])
        offset += len(line)
        prev_hash = hash_of(line) or GENESIS_HASH
        if tree.size % 4096 == 0:
            progress(offset)
    raise InvalidRequest(f"No signed record is as new as {since}; the newest is of {newest}. Name an earlier moment.")


def _write_records(pack: Pack, source: _Source) -> Counted:
    """The records, or the hashes of their leaves, and the long texts that they name."""
    actions: Counter[str] = Counter()
    principals: Counter[str] = Counter()
    named: set[str] = set()
    first_time = last_time = None
    start, texts = source.start, source.texts
    lines = itertools.islice(source.log.lines(start.offset, source.size), source.checkpoint.size - start.tree.size)
    with pack.adding("log.jsonl", source.size - start.offset) as put:
        for line in lines:
            if texts is None:
                put(leaf_hash(line.removesuffix(b"\n")).hex().encode() + b"\n")
                continue
            put(line)
            actions[action_of(line) or "not a record"] += 1
            if user := user_of(line):
                principals[user] += 1
            named.update(digests_in(line))
            if found := _TIMESTAMP.search(line, 0, 120):
                last_time = found[1].decode()
                first_time = first_time or last_time
    for digest in sorted(named):
        if texts is not None and (text := texts.read(digest)) is not None:
            pack.add(f"texts/{digest[:2]}/{digest}", text)
    return Counted(actions, principals, first_time, last_time)


def _write_evidence(pack: Pack, source: _Source, verdict: str) -> None:
    start = source.start
    proof = SliceProof(start.tree.size, start.prev_hash, tuple(start.tree.peaks()), source.note)
    pack.add("slice", proof.encode())
    pack.add("checkpoint", source.note)
    pack.add("log.vkey", f"{source.key.text()}\n".encode())
    pack.add("verdict.json", f"{verdict}\n".encode())
    pack.add("control-map.md", control_map().encode())
    for name in ("verify_log.py", "verify_slice.py"):
        pack.add(name, files(__package__).joinpath(f"files/{name}.txt").read_bytes())
    pack.add(NAME, product_verifier())
    pack.add("verify.html", files("app").joinpath("web/verify.html").read_bytes())


def _write_words(pack: Pack, source: _Source, verdict: Report, counted: Counted) -> About:
    checkpoint, names = source.checkpoint, (*pack.names, "report.html")
    about = About(checkpoint.origin, source.start.tree.size, checkpoint.size - 1, checkpoint.size, source.texts is None, names)
    software = f"secure-ai-assistant {__version__}"
    pack.add("report.html", report(about, verdict, counted, checkpoint.root, source.key.text(), software).encode())
    pack.add("README.md", readme(about).encode())
    return about
