"""Runs a program of tests/support/node that uses an SDK for Node.js, and reads what it printed."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

from .fake_openai import FakeOpenAI
from .optional import NODE_FOLDER, node_with
from .service import Service


def use_node_sdk(script: str, package: str, base_url: str, service: Service, fake: FakeOpenAI, folder: Path) -> dict[str, Any]:
    """The output of *script*, which needs *package*: `answers` and `failures`, by their names."""
    command = [node_with(package), str(NODE_FOLDER / script), base_url, f"http://127.0.0.1:{fake.port}"]
    tokens = {
        "TOKEN": service.token("node", service.add_client("node")),
        "TOKEN_WITHOUT_ROLE": service.token("reader", service.add_client("reader", "ai.audit.reader")),
    }
    environment = {"PATH": os.environ["PATH"], "HOME": str(folder), **tokens}
    done = subprocess.run(command, env=environment, cwd=folder, capture_output=True, text=True, timeout=180)
    assert done.returncode == 0, done.stderr
    return dict(json.loads(done.stdout))


def receipt_in(document: dict[str, Any]) -> str:
    """The receipt of an answer, in the form that `audit verify` accepts."""
    assert set(document["receipt"]) == {"seq", "hash"}
    return f"{document['receipt']['seq']}:{document['receipt']['hash']}"
