"""The browser verifier beside the two others, on mutated logs and receipts; and on a log of a million records."""

from __future__ import annotations

import io
import random
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import cache
from itertools import groupby
from pathlib import Path
from typing import Any

from app.audit.format.receipt import verify_receipt
from app.audit.format.record import Receipt, split_lines
from app.audit.format.slice import SliceProof
from app.audit.verification.slice_check import verify_slice
from app.errors import VerificationFailed

from ..support.browser_verifier import Case
from ..support.evidence import SIGNER, receipt_text
from ..support.mutated_logs import LOG, NOTES, OTHER, TOOL_CODE, VKEY, Findings, mutated, opened_by_both, ours_on, theirs_on
from ..support.mutated_receipts import mutated_receipt
from ..support.mutated_slices import SLICE_CODE, mutated_slice
from .figures import Figures

Run = Callable[[Sequence[Case]], list[dict[str, Any]]]
Check = Callable[[Run, int], Figures]


def compare(folder: Path, *, check: Check, run: Run, mutations: int) -> Figures:
    """A round of the long form; nothing is kept in *folder*."""
    return check(run, mutations)


def agree_on_logs(run: Run, mutations: int, seed: int = 1847) -> Figures:
    """*mutations* logs with receipts and checkpoints, with the key and without: the three find the same, at the same places."""
    rng, started = random.Random(seed), time.monotonic()
    opened = {key: opened_by_both(key) for key in (True, False)}
    cases: list[Case] = []
    expected: list[Findings] = []
    for _ in range(mutations):
        data, has_key = mutated(rng), rng.random() < 0.8
        receipts = [rng.choice([*LOG.receipts, *OTHER.receipts, Receipt(30, "0" * 64)]) for _ in range(rng.choice([0, 0, 1, 2]))]
        names = rng.choices([*NOTES, "LOG 9", "LOG 24"], k=rng.choice([0, 0, 1, 1, 2, 3]))
        known = opened[has_key]
        ours = ours_on(data, receipts, [known[name][0] for name in names])
        assert theirs_on(data, receipts, [(name, known[name][1]) for name in names]) == ours
        expected.append(ours)
        short = [receipt_text(one) for one in dict.fromkeys(receipts)]
        cases.append(Case(data, VKEY.decode() if has_key else "", [NOTES[name] for name in names], short=short))
    for case, ours, verdict in zip(cases, expected, run(cases), strict=True):
        assert findings_of(verdict) == ours, (case, ours, verdict)
        assert verdict["word"] == word_for(case, verdict), (case, verdict)
    broken = sum(not ok for ok, *_ in expected)
    assert broken == mutations or mutations * 0.5 < broken < mutations * 0.99, broken
    return _figures(mutations, broken, started)


def findings_of(verdict: dict[str, Any]) -> Findings:
    head = verdict["head"]
    numbers = [None if one["seq"] is None else int(one["seq"]) for one in verdict["problems"]]
    last = {"seq": int(head["seq"]), "hash": head["hash"]} if head else None
    return verdict["ok"], verdict["entries"], last, [number for number, _ in groupby(numbers)]


def word_for(case: Case, verdict: dict[str, Any]) -> str:
    """What the page may say: `genuine` needs the key, and a checkpoint that covers a record."""
    if not verdict["ok"]:
        return "broken"
    covers = [note for note in case.checkpoints if int(note.split(b"\n")[1]) > 0]
    return "genuine" if case.key and covers else "consistent"


def agree_on_receipts(run: Run, mutations: int, seed: int = 6962) -> Figures:
    """With the key all three believe the same receipts, and read the same record; without it the two that can."""
    rng, started = random.Random(seed), time.monotonic()
    receipts = [mutated_receipt(rng) for _ in range(mutations)]
    key = TOOL_CODE.parse_key(VKEY.decode())
    with_key = run([Case(key=VKEY.decode(), receipts=[one]) for one in receipts])
    without = run([Case(receipts=[one]) for one in receipts])
    believed = 0
    for data, verdict, unsigned in zip(receipts, with_key, without, strict=True):
        ours = None
        with suppress(VerificationFailed):
            proven = verify_receipt(data, SIGNER.verifier_key)
            ours = proven.seq, proven.line
        assert opened_by_tool(data, key) == ours, data
        assert believed_record(verdict) == ours, (data, verdict)
        assert verdict["word"] == ("genuine" if ours else "broken"), (data, verdict)
        assert believed_record(unsigned) == opened_by_tool(data, None), (data, unsigned)
        assert unsigned["word"] == ("consistent" if believed_record(unsigned) else "broken")
        believed += ours is not None
    assert mutations * 0.05 < believed < mutations * 0.6, believed
    return _figures(mutations, mutations - believed, started)


def opened_by_tool(data: bytes, key: Any) -> tuple[int, bytes] | None:
    with suppress(ValueError):
        index, line, _, _ = TOOL_CODE.open_proof(data, key)
        return index, line
    return None


def believed_record(verdict: dict[str, Any]) -> tuple[int, bytes] | None:
    if not verdict["ok"]:
        return None
    [one] = verdict["records"]
    return int(one["seq"]), one["line"].encode("latin-1")


def agree_on_slices(run: Run, mutations: int, seed: int = 9162) -> Figures:
    """Parts of a log, whole or with withheld records, right and changed: the three judge them alike, at the same place."""
    rng, started = random.Random(seed), time.monotonic()
    cases = [mutated_slice(rng) for _ in range(mutations)]
    broken = 0
    verdicts = run([Case(log=data, slice=proof, key=VKEY.decode()) for data, proof in cases])
    for (data, proof), verdict in zip(cases, verdicts, strict=True):
        ours = slice_by_product(data, proof)
        broken += ours is None or not ours[0]
        is_sound, entries, _, places = findings_of(verdict)
        if ours is None:
            assert not is_sound, (data, proof, verdict)
            continue
        assert slice_by_tool(data, proof) == ours, (data, proof)
        assert (is_sound, entries, places) == ours, (data, proof, verdict)
    assert mutations * 0.3 < broken < mutations * 0.95, broken
    return _figures(mutations, broken, started)


Judged = tuple[bool, int, list[int | None]]


def slice_by_product(data: bytes, proof: bytes) -> Judged | None:
    """None: the proof itself is refused."""
    try:
        report = verify_slice(split_lines([data]), SliceProof.parse(proof), SIGNER.verifier_key)
    except VerificationFailed:
        return None
    return report.ok, report.entries, [number for number, _ in groupby(one.seq for one in report.findings)]


def slice_by_tool(data: bytes, proof: bytes) -> Judged:
    first, prev_hash, tree, own = SLICE_CODE.open_slice(proof)
    size, root = _opened(own)
    verdict, problems = SLICE_CODE.check_slice(io.BytesIO(data), first, prev_hash, tree, [], [(size, root, "it")])
    return not problems, verdict["entries"], [number for number, _ in groupby(seq for seq, _ in problems)]


@cache
def _opened(note: bytes) -> tuple[int, bytes]:
    size, root = TOOL_CODE.open_checkpoint(note, TOOL_CODE.parse_key(VKEY.decode()))
    return size, root


def _figures(mutations: int, broken: int, started: float) -> Figures:
    return Figures(mutations, mutations, time.monotonic() - started, remarks=[f"{broken:,} of them found wrong by all"])
