"""A long log in the browser verifier's page: it shows how far it is, and comes to a verdict."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from app.audit.format.chain import link
from app.audit.format.merkle import RightEdge, leaf_hashes
from app.audit.format.note import sign_checkpoint
from app.audit.format.record import EMPTY, Draft, draft

from ..support.browser_verifier import SINGLE_FILE
from ..support.evidence import SIGNER, STAMP
from ..support.optional import NODE_FOLDER, chromium, node_with
from .figures import Figures

BATCH = 5000
TOKEN = "token:" + "0123456789abcdef" * 2


def verify(folder: Path, *, records: int) -> Figures:
    """Write a log of *records*, and drop it into the page with its head and key."""
    folder.mkdir(parents=True, exist_ok=True)
    size = write_log(folder, records)
    started = time.monotonic()
    seen = look(folder)
    assert seen["word"] == "Genuine", seen
    assert seen["shown"] >= min(5, size // (8 << 20)), seen
    remark = (
        f"{size / 1e6:.0f} MB, verdict after {seen['seconds']:.1f} s, progress shown {seen['shown']} times, by {seen['hasher']}"
    )
    return Figures(1, records, time.monotonic() - started, remarks=[remark])


def look(folder: Path) -> dict[str, Any]:
    command = [node_with("playwright-core"), str(NODE_FOLDER / "verify_million.js"), chromium(), str(SINGLE_FILE), str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr
    return dict(json.loads(done.stdout))


def write_log(folder: Path, records: int) -> int:
    """`log.jsonl`, `checkpoint` and `log.vkey` in *folder*: questions and answers of the usual length. Returns the bytes."""
    edge, end, made = RightEdge(), EMPTY, 0
    with (folder / "log.jsonl").open("wb") as file:
        while made < records:
            data, _, end = link(list(drafts(made, min(made + BATCH, records))), end, STAMP)
            edge.extend(leaf_hashes(data.splitlines(keepends=True)))
            file.write(data)
            made = end.seq + 1
    (folder / "checkpoint").write_bytes(sign_checkpoint(made, edge.root(), SIGNER))
    (folder / "log.vkey").write_text(SIGNER.verifier_key.text() + "\n")
    return end.size


def drafts(first: int, last: int) -> Iterator[Draft]:
    for number in range(first, last):
        request_id = f"{number // 2:032x}"
        if number % 2 == 0:
            asked = {"query": f"What is the capital of country {number}? Answer in one word.", "roles": ["ai.playground.user"]}
            sent = {"model": "smollm2-135m", "address": "127.0.0.1", "upstream_sha256": "ab" * 32, "credential": TOKEN}
            yield draft("ask.received", "alice", {**asked, **sent}, request_id)
        else:
            usage = {"input_tokens": 31, "output_tokens": 9}
            answer = {"received": number - 1, "answer": f"It is city {number}.", "model": "smollm2-135m", "usage": usage}
            rest = {"elapsed_ms": 41.5, "attempts": 1, "delivered": {"bytes": 311, "sha256": "cd" * 32}, "credential": TOKEN}
            yield draft("ask.answered", "alice", {**answer, **rest}, request_id)
