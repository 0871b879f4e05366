"""A stranger gets a pack: they unpack it elsewhere, do what its README says, and drop it into its page in a browser."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import pytest
from typer.testing import CliRunner

from app.audit.format.record import draft
from app.audit.storage.append import append
from app.cli.main import app
from app.settings import load_settings
from app.wiring.audit import open_checkpoint_signer

from ..support.clean_settings import use_defaults
from ..support.installation import LOG, install
from ..support.optional import NODE_FOLDER, chromium, node_with
from ..support.stores import open_store

KINDS = {"content": (), "digests": ("--no-content",)}
FIRST = 4


@pytest.fixture(scope="module")
def packs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a pack of each kind, each unpacked in a folder of its own, and the key that was kept."""
    place = tmp_path_factory.mktemp("operator")
    with pytest.MonkeyPatch.context() as patch:
        use_defaults(patch, place)
        patch.setenv("OPENAI_BASE_URL", "http://127.0.0.1:1/v1")
        install()
        for at, count in (("2036-11-01T10:00:00.000000Z", FIRST - 1), ("2036-11-02T10:00:00.000000Z", 5)):
            _record(at, count)
        (place / "KEPT.vkey").write_bytes((LOG.with_suffix(".tree") / "vkey").read_bytes())
        for name, words in KINDS.items():
            done = CliRunner().invoke(app, ["audit", "pack", "--since", "2036-11-02", "--to", f"{name}.zip", *words])
            assert done.exit_code == 0, done.output
            with ZipFile(f"{name}.zip") as zip_file:
                zip_file.extractall(place / name)
    return place


def _record(at: str, count: int) -> None:
    store = open_store(LOG)
    append(store.append, [draft("ask.received", "alice", {"query": f"question {n}"}) for n in range(count)], lambda: at)
    store.close()
    assert open_checkpoint_signer(load_settings()).publish_next()


def by_readme(packs: Path, kind: str, *more: str) -> tuple[int, dict[str, Any]]:
    """The command of the README, as a stranger types it, in the folder of the unpacked files."""
    [command] = re.findall(r"^python3 (.*)$", (packs / kind / "README.md").read_text(), re.MULTILINE)
    words = [word.replace("KEPT.vkey", str(packs / "KEPT.vkey")) for word in shlex.split(command)]
    environment = {"PATH": os.environ["PATH"], "PYTHONDONTWRITEBYTECODE": "1"}
    command_line = [sys.executable, *words, *more]
    done = subprocess.run(command_line, cwd=packs / kind, env=environment, capture_output=True, text=True, timeout=60)
    return done.returncode, json.loads(done.stdout) if done.stdout else {"error": done.stderr}


def in_browser(packs: Path, kind: str, key: str, *names: str) -> dict[str, Any]:
    """The page of the pack itself, with files that are dropped."""
    node, page = node_with("playwright-core"), str(packs / kind / "verify.html")
    command = [node, str(NODE_FOLDER / "verify_drop.js"), chromium(), page, key, *(str(packs / name) for name in names)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return dict(json.loads(done.stdout))


@pytest.mark.parametrize("kind", KINDS)
def test_the_command_of_the_readme_verifies_the_unpacked_files(packs: Path, kind: str) -> None:
    status, verdict = by_readme(packs, kind)
    assert (status, verdict["ok"], verdict["signatures"]) == (0, True, "ok"), verdict
    assert (verdict["first"], verdict["entries"], verdict["withheld"]) == (FIRST, 5, 5 if kind == "digests" else 0)


@pytest.mark.parametrize("kind", KINDS)
def test_the_products_verifier_in_the_pack_agrees_without_the_product(packs: Path, kind: str) -> None:
    """-I: neither the folder nor the environment can lend it a module, and the archive's come first."""
    command = [sys.executable, "-I", "verify_pack.pyz", str(packs / f"{kind}.zip"), str(packs / "KEPT.vkey")]
    done = subprocess.run(command, cwd=packs / kind, capture_output=True, text=True, timeout=60)
    assert (done.returncode, json.loads(done.stdout)["ok"]) == (0, True), done.stderr
    with ZipFile(packs / kind / "verify_pack.pyz") as archive:
        assert not [name for name in archive.namelist() if name.startswith(("app/api", "app/cli", "app/settings", "app/wiring"))]


@pytest.mark.parametrize("kind", KINDS)
def test_the_products_own_command_agrees(packs: Path, kind: str) -> None:
    words = ["audit", "verify-pack", str(packs / f"{kind}.zip"), "--vkey", str(packs / "KEPT.vkey"), "--json"]
    done = CliRunner().invoke(app, words)
    assert (done.exit_code, json.loads(done.stdout)["ok"]) == (0, True), done.output


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_the_page_of_the_pack_verifies_the_zip_file_in_a_browser(packs: Path, kind: str) -> None:
    seen = in_browser(packs, kind, str(packs / "KEPT.vkey"), f"{kind}.zip")
    assert (seen["word"], seen["complaints"]) == ("Genuine", []), seen
    assert f"Records {FIRST} to 8" in seen["meaning"]
    assert ("withheld" in seen["meaning"]) == (kind == "digests")


@pytest.mark.slow
def test_the_key_in_the_pack_is_not_taken(packs: Path) -> None:
    seen = in_browser(packs, "content", "-", "content.zip")
    assert (seen["word"], seen["key"], seen["steps"]["signature"]) == ("Consistent", "", "skipped")


@pytest.mark.slow
def test_a_changed_record_is_found_by_all(packs: Path) -> None:
    changed = packs / "changed"
    changed.mkdir()
    for path in (packs / "content").iterdir():
        (changed / path.name).write_bytes(path.read_bytes().replace(b"question 2", b"question 3", 1))
    status, verdict = by_readme(packs, "changed")
    assert (status, verdict["problems"][0]["seq"]) == (1, FIRST + 2)
    seen = in_browser(packs, "content", str(packs / "KEPT.vkey"), "changed/log.jsonl", "changed/slice")
    assert (seen["word"], seen["meaning"][: len("Record 6:")]) == ("Broken", f"Record {FIRST + 2}:")


def test_a_receipt_is_compared_with_the_part_or_refused(packs: Path) -> None:
    lines = (packs / "content/log.jsonl").read_bytes().splitlines()
    kept = f"{FIRST + 1}:{lines[1][-66:-2].decode()}"
    assert by_readme(packs, "content", "--receipt", kept)[0] == 0
    assert by_readme(packs, "content", "--receipt", f"{FIRST}:{lines[1][-66:-2].decode()}")[0] == 1
    status, said = by_readme(packs, "content", "--receipt", f"{FIRST - 1}:{'0' * 64}")
    assert (status, "Ask for a longer part" in said["error"]) == (2, True)
