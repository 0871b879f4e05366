"""The log of several nodes verified, by three verifiers, and held against what callers were told."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from .browser_verifier import Case, in_node
from .paths import ROOT
from .service import HTTP, Service
from .waiting import eventually

MOST_RECEIPTS = 40


class Acknowledged(Protocol):
    """An answer that a caller was given."""

    @property
    def seq(self) -> int: ...
    @property
    def hash(self) -> str: ...
    @property
    def request_id(self) -> str: ...


def signed_at(node: Service) -> int:
    """How many records the head that *node* serves covers."""
    return int(HTTP.get(f"{node.url}/audit/checkpoint").text.splitlines()[1])


def verify_nodes(several: Sequence[Service], acknowledged: Sequence[Acknowledged], exported: Path) -> tuple[int, str]:
    """How many records there are, and which verifiers agree. *exported*: a new file.

    Every acknowledged answer stands in the log once; every node proves it.
    """
    last = max(one.seq for one in acknowledged)
    receipts = [f"{one.seq}:{one.hash}" for one in acknowledged[:: max(1, len(acknowledged) // MOST_RECEIPTS)]]
    for node in several:
        eventually(lambda node=node: signed_at(node) > last)  # type: ignore[misc]  # mypy does not type the default
        found = node.verify(*receipts)
        assert found["ok"], json.dumps(found)
    several[0].run("audit", "export", str(exported))
    key, checkpoint = HTTP.get(f"{several[0].url}/audit/vkey").text.strip(), exported.with_suffix(".tree") / "checkpoint"
    verifiers = [f"audit verify on {len(several)} node{'s' * (len(several) > 1)}", _by_tool(exported, key, checkpoint, receipts)]
    if shutil.which("node") is not None:
        (verdict,) = in_node([Case(exported.read_bytes(), key, [checkpoint.read_bytes()], short=receipts)])
        assert verdict["ok"], verdict
        verifiers.append("the browser's verifier")
    return _each_once(exported, acknowledged), ", ".join(verifiers)


def _by_tool(exported: Path, key: str, checkpoint: Path, receipts: Sequence[str]) -> str:
    file = exported.with_suffix(".vkey")
    file.write_text(key + "\n")
    words = [str(exported), "--vkey", str(file), "--checkpoint", str(checkpoint)]
    words += [word for one in receipts for word in ("--receipt", one)]
    done = subprocess.run([sys.executable, str(ROOT / "tools/verify_log.py"), *words], capture_output=True, check=True)
    assert json.loads(done.stdout)["ok"], done.stdout
    return "tools/verify_log.py"


def _each_once(exported: Path, acknowledged: Sequence[Acknowledged]) -> int:
    records = [json.loads(line) for line in exported.read_bytes().splitlines()]
    seen = Counter(one["request_id"] for one in records if one["action"] == "ask.answered")
    wrong = [one for one in acknowledged if seen[one.request_id] != 1]
    assert not wrong, f"{len(wrong)} of {len(acknowledged)} acknowledged answers have not one record"
    hashes = {one["seq"]: one["hash"] for one in records}
    assert all(hashes[one.seq] == one.hash for one in acknowledged), "a receipt is of another record"
    return len(records)
