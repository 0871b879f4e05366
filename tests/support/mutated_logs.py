"""Logs and checkpoints after accidents and forgeries, and what the product and tools/verify_log.py find in them."""

from __future__ import annotations

import importlib.util
import io
import random
from collections.abc import Callable
from contextlib import suppress
from itertools import groupby
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from app.audit.format.note import Signer, sign_checkpoint
from app.audit.format.record import Receipt, split_lines
from app.audit.verification.expected import ExpectedCheckpoint, ExpectedEvidence, read_checkpoint
from app.audit.verification.verifier import verify_log
from app.errors import VerificationFailed

from .evidence import SIGNER, Evidence, rehashed
from .paths import ROOT

TOOL = ROOT / "tools" / "verify_log.py"
LOG = Evidence(24, (9,))
OTHER = Evidence(24, (9,), text="other ")


def loaded(name: str = "verify_log") -> Any:
    """A program of tools/ as a module."""
    spec = importlib.util.spec_from_file_location(name, TOOL.with_name(f"{name}.py"))
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


TOOL_CODE = loaded()


VKEY = SIGNER.verifier_key.text().encode() + b"\n"


def other_line(rng: random.Random) -> bytes:
    return rng.choice(
        [*OTHER.lines, b"", b"{}", b"x" * rng.randrange(300), b'{"v":1,"seq":3}', rng.randbytes(90).replace(b"\n", b"")]
    )


def with_more(text: bytes) -> Callable[[bytes], bytes]:
    return lambda line: line.replace(b'"query":"', b'"query":"' + text)


def mutated(rng: random.Random) -> bytes:
    """The log after one to three random accidents or forgeries."""
    lines = list(LOG.lines)
    for _ in range(rng.randint(1, 3)):
        at, to = rng.randrange(len(lines)), rng.randrange(len(lines))
        line = lines[at]
        place = rng.randrange(len(line) + 1)
        match rng.randrange(13):
            case 0 if line:
                place %= len(line)
                lines[at] = line[:place] + bytes([line[place] ^ 1 << rng.randrange(8)]) + line[place + 1 :]
            case 1:
                lines[at] = line[:place] + line[place + rng.randint(1, 5) :]
            case 2:
                lines[at] = line[:place] + rng.choice([b"\n", b"\r", b" ", b"0", b"}", b"\0"]) + line[place:]
            case 3 if len(lines) > 1:
                del lines[at]
            case 4:
                lines[at], lines[to] = lines[to], line
            case 5:
                lines.insert(to, line)
            case 6:
                lines.insert(at, other_line(rng))
            case 7:
                lines[at] = other_line(rng)
            case 8:
                lines = lines[: at + 1]
            case 9:
                lines = [*lines[:at], *OTHER.lines[at:]]
            case 10 if all(len(one) > 160 for one in lines[at:]):
                lines = rehashed(lines, with_more(rng.choice([b"7", b"77", b"x" * 62_000])), at).split(b"\n")[:-1]
            case 11:
                lines[at] = line.replace(b'"seq":%d,' % at, b'"seq":0%d,' % at)
            case 12:
                lines[at] = line[: len(line) - 76] + b"".join(b"%x" % rng.randrange(16) for _ in range(76)) + line[-2:]
    data = b"".join(line + b"\n" for line in lines)
    return rng.choice(
        [data, data, data, data[: -rng.randint(1, 200)], data + b"\n", data + LOG.lines[-1], b""][: rng.choice([1, 7])]
    )


THIEF = Signer(SIGNER.name, Ed25519PrivateKey.from_private_bytes(b"t" * 32))
NOTES = {
    **{f"LOG {size}": LOG.checkpoint(size) for size in LOG.roots},
    **{f"OTHER {size}": OTHER.checkpoint(size) for size in OTHER.roots},
    "longer": sign_checkpoint(30, LOG.roots[24], SIGNER),
    "forged": sign_checkpoint(24, LOG.roots[24], THIEF),
    "of nobody": LOG.checkpoint(24).replace(b"\n24\n", b"\n23\n"),
    "broken": LOG.checkpoint(24)[:-3],
}
"""Checkpoints that somebody may have: of this log, of another, older, forged."""


def opened_by_both(key: bool) -> dict[str, tuple[ExpectedCheckpoint | None, tuple[int, bytes] | None]]:
    """Each checkpoint as either verifier reads it, with the log's key or without; None: it proves nothing."""
    known: dict[str, tuple[ExpectedCheckpoint | None, tuple[int, bytes] | None]] = {}
    for name, note in NOTES.items():
        ours, theirs = None, None
        with suppress(VerificationFailed):
            ours = read_checkpoint(name, note, SIGNER.verifier_key if key else None, given=True)
        with suppress(ValueError):
            theirs = TOOL_CODE.open_checkpoint(note, TOOL_CODE.parse_key(VKEY.decode()) if key else None)
        known[name] = ours, theirs
    return known


Findings = tuple[bool, int, dict[str, Any] | None, list[int | None]]
"""Whether the log is sound, its lines, its last record, and the records with findings, in order."""


def ours_on(data: bytes, receipts: list[Receipt], checkpoints: list[ExpectedCheckpoint | None]) -> Findings:
    refused = ["it proves nothing" for one in checkpoints if one is None]
    expected = ExpectedEvidence(receipts, [one for one in checkpoints if one], refused)
    found = verify_log(lambda: split_lines([data]), expected)
    last = {"seq": found.last_record.seq, "hash": found.last_record.hash} if found.last_record else None
    return found.ok, found.entries, last, once_each([one.seq for one in found.findings])


def theirs_on(data: bytes, receipts: list[Receipt], checkpoints: list[tuple[str, tuple[int, bytes] | None]]) -> Findings:
    roots = [(*one, name) for name, one in checkpoints if one]
    entries, last, problems = TOOL_CODE.check_log(io.BytesIO(data), [(one.seq, one.hash) for one in receipts], roots, [])
    problems += [(None, "it proves nothing") for _, one in checkpoints if one is None]
    return not problems, entries, last, once_each([seq for seq, _ in problems])


def once_each(numbers: list[int | None]) -> list[int | None]:
    """Of two receipts with one number the tool makes two findings, the product one."""
    return [number for number, _ in groupby(numbers)]
