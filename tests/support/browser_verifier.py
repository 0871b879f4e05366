"""The browser verifier as a program: its modules in node, or the single file in Chromium. Cases go in, verdicts come out."""

from __future__ import annotations

import base64
import json
import subprocess
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from .optional import NODE_FOLDER, chromium, node, node_with
from .paths import ROOT

SINGLE_FILE = ROOT / "app" / "web" / "verify.html"


@dataclass(frozen=True)
class Case:
    """What is dropped into the page. Names of checkpoints and receipts are for messages only."""

    log: bytes | None = None
    key: str = ""
    checkpoints: Sequence[bytes] = ()
    receipts: Sequence[bytes] = ()
    short: Sequence[str] = ()
    slice: bytes | None = None
    texts: dict[str, bytes] = field(default_factory=dict)

    def line(self) -> str:
        def files(kind: str, contents: Iterable[bytes]) -> list[dict[str, str]]:
            return [{"name": f"{kind} {number}", "data": _encoded(one)} for number, one in enumerate(contents)]

        document = {
            "key": self.key,
            "log": None if self.log is None else _encoded(self.log),
            "slice": None if self.slice is None else {"name": "slice", "data": _encoded(self.slice)},
            "checkpoints": files("checkpoint", self.checkpoints),
            "receipts": files("receipt", self.receipts),
            "short": list(self.short),
            "texts": [{"name": name, "data": _encoded(data)} for name, data in self.texts.items()],
        }
        return json.dumps(document)


def _encoded(data: bytes) -> str:
    return base64.b64encode(data).decode()


def in_node(cases: Iterable[Case], *words: str) -> list[dict[str, Any]]:
    """The verdicts of the modules, run by node. *words*: `webcrypto` hashes with it."""
    return _run([node(), str(NODE_FOLDER / "verify_cases.mjs"), *words], cases)


def in_chromium(cases: Iterable[Case]) -> list[dict[str, Any]]:
    """The verdicts of the single file's worker, opened from disk in Chromium."""
    return _run([node_with("playwright-core"), str(NODE_FOLDER / "verify_page.js"), chromium(), str(SINGLE_FILE)], cases)


def _run(command: list[str], cases: Iterable[Case]) -> list[dict[str, Any]]:
    written = "".join(case.line() + "\n" for case in cases)
    done = subprocess.run(command, input=written, capture_output=True, text=True, timeout=1800)
    assert done.returncode == 0, done.stderr[-2000:]
    assert not done.stderr, done.stderr[-2000:]
    verdicts = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(verdicts) == written.count("\n")
    return verdicts
