"""The second verifier, tools/verify_log.py: it stands alone, and it agrees with the product's own check."""

from __future__ import annotations

import ast
import base64
import json
import random
import subprocess
import sys
from collections.abc import Callable
from contextlib import chdir
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from typer.testing import CliRunner

from app.audit.format.merkle import inclusion_proof, leaf_hash, root_of
from app.audit.format.note import Signer, sign_checkpoint
from app.audit.format.receipt import make_receipt, verify_receipt
from app.audit.format.record import Receipt, split_lines
from app.cli.main import app

from ..support.chain import check_chain
from ..support.evidence import SIGNER, Evidence, receipt_text, rehashed
from ..support.examples import scaled
from ..support.mutated_logs import LOG, NOTES, OTHER, TOOL, TOOL_CODE, VKEY, mutated, opened_by_both, ours_on, theirs_on

MUTATIONS = scaled(10_000)
ORDER = 2**252 + 27742317777372353535851937790883648493


def run(folder: Path, log: bytes | None, *options: str | bytes) -> tuple[int, dict[str, Any]]:
    """Run the tool as an auditor does. An option in bytes is the content of a file."""
    words: list[str] = []
    for number, option in enumerate(options):
        if isinstance(option, bytes):
            (folder / f"file{number}").write_bytes(option)
        words.append(option if isinstance(option, str) else str(folder / f"file{number}"))
    if log is not None:
        (folder / "log").write_bytes(log)
        words.append(str(folder / "log"))
    done = subprocess.run([sys.executable, "-I", "-S", TOOL, *words], capture_output=True, text=True, timeout=60)
    return done.returncode, json.loads(done.stdout) if done.stdout.startswith("{") else {"error": done.stderr}


# --- it stands alone ---------------------------------------------------------------------------


def test_it_is_short_and_imports_nothing_that_python_has_not() -> None:
    source = TOOL.read_text()
    assert len(source.splitlines()) <= 300
    tree = ast.walk(ast.parse(source))
    names = {name for node in tree for name in _imported(node)}
    assert names <= sys.stdlib_module_names


def _imported(node: ast.AST) -> list[str]:
    if isinstance(node, ast.Import):
        return [one.name.split(".")[0] for one in node.names]
    return [(node.module or "app").split(".")[0]] if isinstance(node, ast.ImportFrom) else []


# --- it agrees with the product ----------------------------------------------------------------


@pytest.mark.slow
def test_both_verifiers_agree_on_any_mutated_log() -> None:
    """With receipts and checkpoints of this log and of another, with its key and without: they find the same."""
    rng = random.Random(1847)
    opened = {key: opened_by_both(key) for key in (True, False)}
    broken = missed = several = 0
    for _ in range(MUTATIONS):
        data = mutated(rng)
        receipts = [rng.choice([*LOG.receipts, *OTHER.receipts, Receipt(30, "0" * 64)]) for _ in range(rng.choice([0, 0, 1, 2]))]
        names = rng.choices([*NOTES, "LOG 9", "LOG 24"], k=rng.choice([0, 0, 1, 1, 2, 3]))
        known = opened[rng.random() < 0.8]
        ours = ours_on(data, receipts, [known[name][0] for name in names])
        assert theirs_on(data, receipts, [(name, known[name][1]) for name in names]) == ours, (data, receipts, names)
        broken += not ours[0]
        missed += ours[0] is False and check_chain(split_lines([data])).ok  # what only receipts and checkpoints show
        several += len(ours[3]) > 1
    assert MUTATIONS * 0.5 < broken < MUTATIONS * 0.99  # else the comparison says little
    assert missed > MUTATIONS * 0.02
    assert several > MUTATIONS * 0.3


def test_both_verifiers_read_the_same_checkpoints() -> None:
    for key in (True, False):
        for name, (ours, theirs) in opened_by_both(key).items():
            assert (ours and (ours.size, ours.checkpoint.root)) == theirs, name
    assert [name for name, (ours, _) in opened_by_both(True).items() if ours is None] == ["forged", "of nobody", "broken"]


def test_a_sound_log_is_sound_with_everything_that_was_kept(tmp_path: Path) -> None:
    held: list[str | bytes] = [
        "--checkpoint",
        LOG.checkpoint(9),
        "--checkpoint",
        LOG.checkpoint(24),
        "--proof",
        LOG.receipt_file(3, 24),
    ]
    status, verdict = run(tmp_path, LOG.data, "--vkey", VKEY, *held, "--receipt", receipt_text(LOG.receipts[5]))
    head = {"seq": 23, "hash": LOG.receipts[23].hash}
    assert status == 0
    assert verdict == {"ok": True, "entries": 24, "head": head, "problems": [], "signatures": "ok"}


def test_its_verdict_has_the_members_of_the_products_own(tmp_path: Path) -> None:
    status, verdict = run(tmp_path, LOG.data.replace(b'"7"', b'"8"'))
    assert status == 1
    assert (verdict["ok"], verdict["entries"], verdict["head"]["seq"], verdict["signatures"]) == (False, 24, 23, "not_checked")
    assert verdict["problems"] == [{"seq": 7, "problem": "the record was changed: its bytes do not give its hash"}]


# --- what only a kept checkpoint shows ----------------------------------------------------------


def both(tmp_path: Path, log: bytes, *options: str | bytes) -> list[int]:
    """The problems that the product's own command names, once the second verifier has named the same."""
    status, theirs = run(tmp_path, log, "--vkey", VKEY, *options)
    words = [one if isinstance(one, str) else str(tmp_path / f"file{number}") for number, one in enumerate(options, 2)]
    command = ["audit", "verify", "--vkey", str(tmp_path / "file1"), *words, "--json"]
    with chdir(tmp_path):
        done = CliRunner().invoke(app, command, env={"SECRET_KEY": "s" * 43, "AUDIT_LOG_PATH": "log", "AUDIT_KEY_PATH": "none"})
    ours = json.loads(done.stdout)
    assert (done.exit_code, ours["ok"], ours["entries"], ours["head"]) == (
        status,
        theirs["ok"],
        theirs["entries"],
        theirs["head"],
    )
    assert [one["seq"] for one in ours["problems"]] == [one["seq"] for one in theirs["problems"]]
    return [one["seq"] for one in ours["problems"]]


def test_a_log_forged_with_its_key_is_found_by_both_at_one_place(tmp_path: Path) -> None:
    """All hashes are right, the length is the same, and the log's own key signed a checkpoint over it."""
    forged = rehashed(LOG.lines, lambda line: line.replace(b'"query":"4"', b'"query":"5"'), 4)
    fresh = sign_checkpoint(24, root_of(leaf_hash(line) for line in forged.split(b"\n")[:-1]), SIGNER)
    own = ("--checkpoint", fresh)
    assert both(tmp_path, forged, *own) == []
    assert both(tmp_path, forged, *own, "--receipt", receipt_text(LOG.receipts[17])) == [17]
    assert both(tmp_path, forged, *own, "--receipt", receipt_text(LOG.receipts[3])) == []
    assert both(tmp_path, forged, *own, "--checkpoint", LOG.checkpoint(9)) == [8]


def test_a_cut_with_an_old_checkpoint_is_found_by_both_at_one_place(tmp_path: Path) -> None:
    cut = b"".join(line + b"\n" for line in LOG.lines[:9])
    back = ("--checkpoint", LOG.checkpoint(9))
    assert both(tmp_path, cut, *back) == []
    assert both(tmp_path, cut, *back, "--receipt", receipt_text(LOG.receipts[9])) == [9]
    assert both(tmp_path, cut, *back, "--checkpoint", LOG.checkpoint(24)) == [23]


@pytest.mark.parametrize("held", [9, 24])
def test_a_rewritten_log_is_found_through_a_checkpoint(held: int, tmp_path: Path) -> None:
    forged = rehashed(LOG.lines, lambda line: line.replace(b'"query":"4"', b'"query":"5"'), 4)
    assert run(tmp_path, forged)[1]["ok"]
    status, verdict = run(tmp_path, forged, "--vkey", VKEY, "--checkpoint", LOG.checkpoint(held))
    assert (status, verdict["problems"][0]["seq"]) == (1, held - 1)
    assert "rewritten" in verdict["problems"][0]["problem"]


def test_a_cut_tail_is_found_through_a_checkpoint_a_receipt_and_a_proof(tmp_path: Path) -> None:
    cut = b"".join(line + b"\n" for line in LOG.lines[:20])
    assert run(tmp_path, cut, "--checkpoint", LOG.checkpoint(9))[1]["ok"]
    for option, value in (
        ("--checkpoint", LOG.checkpoint(24)),
        ("--receipt", receipt_text(LOG.receipts[22])),
        ("--proof", LOG.receipt_file(22, 24)),
    ):
        status, verdict = run(tmp_path, cut, option, value)
        assert (status, verdict["ok"]) == (1, False)
        assert verdict["problems"][0]["seq"] in (22, 23)


def test_a_checkpoint_of_an_empty_log_is_the_beginning_of_every_log(tmp_path: Path) -> None:
    assert run(tmp_path, LOG.data, "--checkpoint", LOG.checkpoint(0), "--vkey", VKEY)[0] == 0
    assert run(tmp_path, LOG.data, "--checkpoint", sign_checkpoint(0, bytes(32), SIGNER), "--vkey", VKEY)[0] == 1


# --- signatures, keys, proofs ------------------------------------------------------------------


def test_a_checkpoint_of_another_key_is_refused_with_the_right_root(tmp_path: Path) -> None:
    thief = Signer(SIGNER.name, Ed25519PrivateKey.from_private_bytes(b"t" * 32))
    stolen = sign_checkpoint(24, LOG.roots[24], thief)
    status, verdict = run(tmp_path, LOG.data, "--vkey", VKEY, "--checkpoint", stolen)
    assert (status, verdict["signatures"]) == (1, "failed")
    assert run(tmp_path, LOG.data, "--checkpoint", stolen)[1]["signatures"] == "not_checked"


def refused(check: Callable[..., Any], *evidence: Any) -> bool:
    try:
        check(*evidence)
    except ValueError:
        return True
    return False


def test_no_checkpoint_and_no_proof_with_a_flipped_bit_is_believed() -> None:
    key = TOOL_CODE.parse_key(VKEY.decode())
    rng = random.Random(6962)
    for opener, data in ((TOOL_CODE.open_checkpoint, LOG.checkpoint(24)), (TOOL_CODE.open_proof, LOG.receipt_file(5, 24))):
        assert not refused(opener, data, key)
        for bit in rng.sample(range(len(data) * 8), 100):
            flipped = bytearray(data)
            flipped[bit // 8] ^= 1 << bit % 8
            assert refused(opener, bytes(flipped), key), bit
            assert refused(opener, data[: bit // 8], key)


@pytest.mark.parametrize("size", [1, 2, 3, 8, 9, 24])
def test_it_reads_every_inclusion_proof_as_the_rfc_has_it(size: int) -> None:
    log = Evidence(24, (size,))
    for seq in range(size):
        assert TOOL_CODE.open_proof(log.receipt_file(seq, size), None) == (seq, log.lines[seq], size, log.roots[size])
    assert TOOL_CODE.root_from_path(size, size, log.leaves[0], []) is None


def test_it_refuses_a_proof_with_a_hash_too_many() -> None:
    more, root = LOG.leaves[3], LOG.roots[24]
    path = inclusion_proof(5, 24, LOG.read(24))
    assert TOOL_CODE.root_from_path(5, 24, LOG.leaves[5], path) == root
    assert TOOL_CODE.root_from_path(5, 24, LOG.leaves[5], [*path, more]) is None
    assert TOOL_CODE.root_from_path(5, 24, LOG.leaves[5], path[:-1]) is None


def test_it_refuses_what_is_signed_but_no_checkpoint_of_this_log() -> None:
    key = TOOL_CODE.parse_key(VKEY.decode())
    root = base64.b64encode(LOG.roots[24]).decode()
    assert not refused(TOOL_CODE.open_checkpoint, SIGNER.sign(f"{SIGNER.name}\n24\n{root}\n"), key)
    loose = root[:-2] + chr(ord(root[-2]) + 1) + "="  # an unused bit set
    for text in (f"another/log\n24\n{root}\n", f"{SIGNER.name}\n24\n{root}\n\nmore\n", f"{SIGNER.name}\n24\n{loose}\n"):
        assert refused(TOOL_CODE.open_checkpoint, SIGNER.sign(text), key)


def test_it_refuses_a_proof_of_a_line_that_is_no_record_of_that_number() -> None:
    sound = make_receipt(0, LOG.lines[0], [], sign_checkpoint(1, leaf_hash(LOG.lines[0]), SIGNER))
    assert not refused(TOOL_CODE.open_proof, sound, None)
    for line in (LOG.lines[6], LOG.lines[0].replace(b"log.opened", b"log.closed"), b"{}"):
        proof = make_receipt(0, line, [], sign_checkpoint(1, leaf_hash(line), SIGNER))
        assert refused(TOOL_CODE.open_proof, proof, None)
        assert refused(verify_receipt, proof, SIGNER.verifier_key)


def test_a_proof_is_checked_without_the_log_and_against_it(tmp_path: Path) -> None:
    proof = LOG.receipt_file(5, 24)
    assert run(tmp_path, None, "--vkey", VKEY, "--proof", proof) == (
        0,
        {"ok": True, "entries": 0, "head": None, "problems": [], "signatures": "ok"},
    )
    status, verdict = run(tmp_path, OTHER.data, "--vkey", VKEY, "--proof", proof)
    assert status == 1
    assert [one["seq"] for one in verdict["problems"]] == [5, 23]


def test_what_cannot_be_read_ends_with_status_2(tmp_path: Path) -> None:
    for options in (
        ("--vkey", b"nonsense"),
        ("--vkey", "/nowhere"),
        ("--receipt", "1:xyz"),
        ("--vkey", VKEY.replace(b"01", b"02")),
    ):
        assert run(tmp_path, LOG.data, *options)[0] == 2
    assert run(tmp_path, None)[0] == 2
    assert run(tmp_path, None, "/nowhere/log")[0] == 2


def test_ed25519_agrees_with_the_library_and_rfc_8032() -> None:
    public = bytes.fromhex("d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a")
    signature = bytes.fromhex(
        "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b"
    )
    assert TOOL_CODE.ed25519_verifies(public, b"", signature)
    rng = random.Random(8032)
    for _ in range(10):
        private, message = Ed25519PrivateKey.from_private_bytes(rng.randbytes(32)), rng.randbytes(rng.randrange(300))
        public, signature = private.public_key().public_bytes_raw(), private.sign(message)
        assert TOOL_CODE.ed25519_verifies(public, message, signature)
        for bad in (
            (public, message + b"!", signature),
            (public, message, bytes([signature[0] ^ 1]) + signature[1:]),
            (public, message, signature[:40] + bytes([signature[40] ^ 8]) + signature[41:]),
            (public, message, signature[:32] + (int.from_bytes(signature[32:], "little") + ORDER).to_bytes(32, "little")),
            (rng.randbytes(32), message, signature),
            (public, message, signature[:-1]),
        ):
            assert not TOOL_CODE.ed25519_verifies(*bad)
