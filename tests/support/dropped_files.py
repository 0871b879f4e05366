"""Files that a person may drop into the verifier's page, also hostile ones."""

from __future__ import annotations

import json
from pathlib import Path

from app.audit.format.merkle import leaf_hash
from app.audit.format.note import sign_checkpoint
from app.audit.format.receipt import make_receipt
from app.audit.format.record import GENESIS_HASH, draft, line_of

from .evidence import SIGNER, STAMP, Evidence
from .paths import CORPORA

LOG = Evidence(24, (9,))


def write_files(folder: Path) -> None:
    """What a person may drop, and a signed record that holds every naughty string there is."""
    odd = json.loads((CORPORA / "strings/blns.json").read_text())
    details = {"query": "\n".join(odd), "strings": odd, "number": 2**53 + 1}
    line, _ = line_of(draft("ask.received", "alice", details), 0, STAMP, GENESIS_HASH)
    hostile = make_receipt(0, line[:-1], [], sign_checkpoint(1, leaf_hash(line[:-1]), SIGNER))
    files = {"log.jsonl": LOG.data, "checkpoint": LOG.checkpoint(24), "receipt": LOG.receipt_file(3, 24), "hostile": hostile}
    files["malformed"] = files["receipt"].replace(b"extra ", b"extra !")
    files |= {"half.zip": b"PK\x03\x04" + bytes(1_000), "empty": b"", "emptied.jsonl": b""}
    for name, data in files.items():
        (folder / name).write_bytes(data)
    (folder / "key").write_text(SIGNER.verifier_key.text() + "\n")
    (folder / "nonsense").write_text("<img src=x onerror=alert(1)>")
