"""Go's own transparency-log packages verify our checkpoints, proofs, tiles and bundles."""

from __future__ import annotations

import base64
import json
import os
import random
import shutil
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from app.audit.format.merkle import consistency_proof, inclusion_proof
from app.audit.format.tiles import Tile

from ..support.evidence import SIGNER, Evidence
from ..support.optional import leave_out
from ..support.paths import SUPPORT
from ..support.service import HTTP, Service
from ..support.tiles import new_tiles
from ..support.waiting import eventually

PROGRAM = SUPPORT / "go" / "verify.go"
PACKAGES = Path("/usr/share/gocode")
SIZE, OLDER = 100_000, (1, 2, 255, 256, 257, 4_711, 65_535, 65_536, 65_537, 99_840, 99_999)
HOW = "Debian: apt-get install golang-go golang-golang-x-mod-dev"


@pytest.fixture(scope="module")
def verifier(tmp_path_factory: pytest.TempPathFactory) -> Path:
    go = shutil.which("go")
    if go is None or not (PACKAGES / "src/golang.org/x/mod/sumdb/tlog").is_dir():
        leave_out(f"there is no Go with golang.org/x/mod, so no foreign verifier has seen our log ({HOW})")
    folder = tmp_path_factory.mktemp("go")
    offline = {"GO111MODULE": "off", "GOPATH": str(PACKAGES), "GOCACHE": str(folder / "cache"), "GOFLAGS": "", "GOPROXY": "off"}
    done = subprocess.run(
        [go, "build", "-o", folder / "verify", PROGRAM],
        env={**os.environ, **offline},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    return folder / "verify"


@pytest.fixture(scope="module")
def log() -> Evidence:
    return Evidence(SIZE, OLDER)


@pytest.fixture(scope="module")
def evidence(log: Evidence, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    folder = tmp_path_factory.mktemp("tiles")
    log.write_tiles(folder)
    read = log.read(SIZE)
    places = [0, 1, 255, 256, 65_535, 65_536, SIZE - 1, *random.Random(9162).sample(range(2, SIZE - 1), 993)]
    return {
        "vkey": SIGNER.verifier_key.text(),
        "checkpoint": log.checkpoint(SIZE).decode(),
        "inclusion": [
            {"index": at, "leaf": text(log.leaves[at]), "proof": [text(one) for one in inclusion_proof(at, SIZE, read)]}
            for at in places
        ],
        "consistency": [
            {"old": old, "old_root": text(log.roots[old]), "proof": [text(one) for one in consistency_proof(old, SIZE, read)]}
            for old in OLDER
        ],
        "tiles": str(folder),
    }


def text(digest: bytes) -> str:
    return base64.b64encode(digest).decode()


def judge(verifier: Path, evidence: dict[str, Any]) -> subprocess.CompletedProcess[str]:
    return subprocess.run([verifier], input=json.dumps(evidence), capture_output=True, text=True, timeout=120)


def test_go_verifies_checkpoint_inclusions_growth_tiles_and_bundles(
    verifier: Path, evidence: dict[str, Any], log: Evidence
) -> None:
    done = judge(verifier, evidence)
    assert done.returncode == 0, done.stderr
    tiles = len(new_tiles(0, SIZE))
    assert done.stdout == f"size {SIZE} root {text(log.roots[SIZE])} inclusion 1000 consistency {len(OLDER)} tiles {tiles}\n"


def test_go_refuses_what_we_refuse(verifier: Path, evidence: dict[str, Any], log: Evidence) -> None:
    other = text(log.leaves[7])
    first = evidence["inclusion"][0]
    for change, reason in (
        ({"checkpoint": evidence["checkpoint"].replace("\n100000\n", "\n100001\n")}, "checkpoint"),
        ({"inclusion": [{**first, "leaf": other}]}, "inclusion of 0"),
        ({"inclusion": [{**first, "proof": first["proof"][:-1]}]}, "inclusion of 0"),
        ({"consistency": [{**evidence["consistency"][5], "old_root": other}]}, "consistency with 4711"),
    ):
        done = judge(verifier, {**evidence, **change})
        assert done.returncode == 1
        assert done.stderr.startswith(reason)


def test_go_refuses_a_changed_tile_and_a_changed_bundle(verifier: Path, evidence: dict[str, Any], tmp_path: Path) -> None:
    for path, reason in ((Tile(0, 17).path(), "tile"), ("entries/017", "bundle")):
        shutil.copytree(evidence["tiles"], tmp_path / reason)
        changed = bytearray((tmp_path / reason / path).read_bytes())
        changed[100] ^= 1
        (tmp_path / reason / path).write_bytes(changed)
        done = judge(verifier, {**evidence, "inclusion": [], "tiles": str(tmp_path / reason)})
        assert done.returncode == 1
        assert done.stderr.startswith(reason)


# --- a service that runs -------------------------------------------------------------------------


@pytest.fixture(scope="module")
def served(service: Service, token: str) -> dict[str, Any]:
    """A service whose log is past its first full tile, the checkpoints it served, and an auditor's token."""
    reader = service.token("auditor", service.add_client("auditor", "ai.audit.reader"))
    older: list[str] = []
    with ThreadPoolExecutor(4) as pool:
        for _ in range(10):
            assert {answer.status_code for answer in pool.map(lambda _: service.ask(token), range(14))} == {200}
            older.append(HTTP.get(service.url + "/audit/checkpoint").text)
    eventually(lambda: head_of(service) > 280)
    return {"address": f"{service.url}/audit/", "token": reader, "older": sorted(set(older), key=size_of)}


def size_of(checkpoint: str) -> int:
    return int(checkpoint.split("\n")[1])


def head_of(service: Service) -> int:
    return size_of(HTTP.get(service.url + "/audit/checkpoint").text)


def test_go_verifies_what_a_running_service_serves(verifier: Path, served: dict[str, Any], service: Service, token: str) -> None:
    """Checkpoint, key, tiles of odd widths, bundles, receipts (also of the newest record), growth from any size."""
    size = head_of(service)
    newest = int(service.ask(token).headers["x-audit-seq"])
    picked = random.Random(9162)
    sizes = [1, 2, 255, 256, 257, *picked.sample(range(3, 255), 20), *picked.sample(range(258, size), 5)]
    receipts = [0, 1, 255, 256, newest, *picked.sample(range(2, size), 20)]
    done = judge(verifier, {**served, "sizes": sizes, "receipts": receipts})
    assert done.returncode == 0, done.stderr
    words = done.stdout.split()
    assert int(words[1]) >= size
    assert words[2:] == ["receipts", "25", "older", str(len(served["older"])), "sizes", "30", "tiles", "3"]


def test_go_refuses_another_logs_checkpoint_and_a_size_we_never_had(
    verifier: Path, served: dict[str, Any], service: Service, log: Evidence
) -> None:
    for change, reason in (
        ({"older": [log.checkpoint(257).decode()]}, "checkpoint"),
        ({"sizes": [10**6]}, "growth from 1000000"),
        ({"receipts": [10**6]}, "receipt of 1000000: receipts/1000000: status 404"),
    ):
        done = judge(verifier, {**served, "older": [], **change})
        assert done.returncode == 1
        assert done.stderr.startswith(reason), done.stderr
