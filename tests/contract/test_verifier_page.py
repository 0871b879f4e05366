"""The verifier's page in a real browser, opened from disk: by keyboard, in dark and light, narrow and wide, with odd strings."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from app.audit.format.merkle import leaf_hash
from app.audit.format.note import sign_checkpoint
from app.audit.format.receipt import make_receipt
from app.audit.format.record import GENESIS_HASH, draft, line_of

from ..support.browser_verifier import SINGLE_FILE
from ..support.evidence import SIGNER, STAMP, Evidence
from ..support.optional import NODE_FOLDER, chromium, node_with
from ..support.paths import CORPORA

pytestmark = pytest.mark.slow
LOG = Evidence(24, (9,))
VIEWS = [("360", "light"), ("1440", "dark")]


def write_files(folder: Path) -> None:
    """What a person may drop, and a signed record that holds every naughty string there is."""
    odd = json.loads((CORPORA / "strings/blns.json").read_text())
    line, _ = line_of(draft("ask.received", "alice", {"query": "\n".join(odd), "strings": odd}), 0, STAMP, GENESIS_HASH)
    hostile = make_receipt(0, line[:-1], [], sign_checkpoint(1, leaf_hash(line[:-1]), SIGNER))
    files = {"log.jsonl": LOG.data, "checkpoint": LOG.checkpoint(24), "receipt": LOG.receipt_file(3, 24), "hostile": hostile}
    for name, data in files.items():
        (folder / name).write_bytes(data)
    (folder / "key").write_text(SIGNER.verifier_key.text() + "\n")
    (folder / "nonsense").write_text("<img src=x onerror=alert(1)>")


@pytest.fixture(scope="module", params=VIEWS, ids="-".join)
def seen(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    width, scheme = request.param
    folder = tmp_path_factory.mktemp(f"verify-{width}-{scheme}")
    write_files(folder)
    command = [
        node_with("axe-core"),
        str(NODE_FOLDER / "verify_use.js"),
        chromium(),
        SINGLE_FILE.as_uri(),
        str(folder),
        width,
        scheme,
    ]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    return {"width": int(width), **json.loads(done.stdout)}


def test_each_verdict_is_the_one_that_was_earned(seen: dict[str, Any]) -> None:
    words = {name: scene["word"] for name, scene in seen["scenes"].items()}
    assert words == {
        "empty": "Nothing to check yet",
        "example": "Genuine",
        "example flipped": "Broken",
        "receipt alone": "Consistent",
        "receipt and key": "Genuine",
        "log alone": "Consistent",
        "log with head": "Genuine",
        "log flipped": "Broken",
        "hostile": "Genuine",
        "nonsense": "Nothing to check yet",
    }
    assert "is none of these" in seen["scenes"]["nonsense"]["complaint"]


def test_each_step_ends_by_itself_and_a_flipped_byte_is_marked(seen: dict[str, Any]) -> None:
    steps = seen["scenes"]["log with head"]["steps"]
    assert steps == dict.fromkeys(("form", "signature", "bytes", "links", "tree", "json"), "ok")
    assert "failed" in seen["scenes"]["log flipped"]["steps"].values()
    assert seen["marked"] == 2


def test_it_says_where_it_came_from(seen: dict[str, Any]) -> None:
    assert "runs from your disk" in seen["scenes"]["empty"]["origin"]


def test_no_string_runs_or_breaks_the_layout(seen: dict[str, Any]) -> None:
    assert (seen["dialogs"], seen["violations"], seen["complaints"]) == (0, [], [])
    assert seen["widest"] <= seen["width"]
    assert abs(seen["scenes"]["hostile"]["elements"] - seen["scenes"]["receipt and key"]["elements"]) <= 2, "text stays text"


def test_it_asks_nobody_for_anything(seen: dict[str, Any]) -> None:
    assert [url for url in seen["requests"] if not url.startswith(("file:", "blob:"))] == []


def test_nothing_serious_hinders_people_with_disabilities(seen: dict[str, Any]) -> None:
    assert seen["serious"] == []
