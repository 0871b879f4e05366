"""The browser verifier's modules: whole, unchanged where they are others', strict, and the single file is made of them."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import subprocess
import sys
from typing import Any

import pytest

from app.audit.format.chain import link
from app.audit.format.merkle import leaf_hash, root_of
from app.audit.format.record import EMPTY, draft
from app.audit.verification.expected import read_checkpoint
from app.errors import VerificationFailed
from app.kit import strict_json

from ..support.browser_verifier import SINGLE_FILE, Case, in_node
from ..support.evidence import OTHER_SIGNER, SIGNER, Evidence, receipt_text
from ..support.optional import NODE_FOLDER, node
from ..support.paths import CORPORA, ROOT

STATIC = ROOT / "app" / "web" / "static"
MODULES = sorted((STATIC / "verify").glob("*.js"))
VENDORED = STATIC / "vendor" / "noble"
KEY = SIGNER.verifier_key.text()
LOG = Evidence(24, (9,))


def test_the_single_file_is_what_the_modules_give() -> None:
    done = subprocess.run([sys.executable, ROOT / "tools" / "build_verifier.py", "--check"], timeout=60)
    assert done.returncode == 0, "run python3 tools/build_verifier.py"


def test_the_single_file_allows_its_own_script_and_style_and_nothing_else() -> None:
    page = SINGLE_FILE.read_text("utf-8")
    [policy] = re.findall(r'<meta http-equiv="Content-Security-Policy" content="([^"]+)">', page)
    parts = dict(part.strip().partition(" ")[::2] for part in policy.split(";"))
    assert parts["default-src"] == parts["connect-src"] == "'none'"
    assert "unsafe" not in policy
    for name, pattern in (("script-src", r'<script type="module">(.*?)</script>'), ("style-src", r"<style>(.*?)</style>")):
        [text] = re.findall(pattern, page, re.DOTALL)
        assert parts[name] == f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"
    assert re.findall(r"\s(?:src|href|style|on\w+)=", page.partition("<script")[0]) == []


def test_each_module_says_what_it_is_for_and_is_short() -> None:
    assert len(MODULES) > 10
    for path in MODULES:
        lines = path.read_text("utf-8").splitlines()
        assert lines[0].startswith("// "), path.name
        assert len(lines) <= 250, path.name


def test_no_module_asks_the_network_or_makes_code_or_markup_of_text() -> None:
    network = "fetch|XMLHttpRequest|WebSocket|EventSource|sendBeacon"
    markup = "eval|Function|innerHTML|outerHTML|insertAdjacentHTML|write"
    forbidden = re.compile(rf"\b({network}|{markup})\b *[(=]")
    for path in MODULES:
        assert forbidden.findall(path.read_text("utf-8")) == [], path.name


def test_the_vendored_files_are_the_published_ones() -> None:
    listed = json.loads((VENDORED / "vendored.json").read_text("utf-8"))
    files = {path.relative_to(VENDORED).as_posix(): path for path in VENDORED.rglob("*") if path.is_file()}
    assert set(files) == {"vendored.json", *(name for one in listed for name in one["files"])}
    for one in listed:
        assert one["license"] == "MIT"
        assert one["integrity"].startswith("sha512-")
        for name, digest in one["files"].items():
            assert hashlib.sha256(files[name].read_bytes()).hexdigest() == digest, name
        assert any(name.endswith("/LICENSE") for name in one["files"])


@pytest.fixture(scope="module")
def judged() -> dict[str, Any]:
    given = {
        "notes": [one for one in json.loads((CORPORA / "signed_note/vectors.json").read_bytes()) if "vkey" in one],
        "inclusion": [json.loads(path.read_bytes()) for path in sorted((CORPORA / "merkle/inclusion").glob("*/*.json"))],
        "texts": [base64.b64encode(path.read_bytes()).decode() for path in json_texts()],
        "leaves": [base64.b64encode(leaf_hash(b"%d" % number)).decode() for number in range(70)],
    }
    command = [node(), str(NODE_FOLDER / "verify_vectors.mjs")]
    done = subprocess.run(command, input=json.dumps(given), capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return {"given": given, **json.loads(done.stdout)}


def json_texts() -> list[Any]:
    return sorted((CORPORA / "json").glob("*.json"))


def test_notes_and_proofs_of_others_are_judged_as_there(judged: dict[str, Any]) -> None:
    assert len(judged["inclusion"]) > 40
    for kind in ("notes", "inclusion"):
        given = judged["given"][kind]
        wrong = [one for one, found in zip(given, judged[kind], strict=True) if found == one.get("wantErr", False)]
        assert wrong == []


def test_its_tree_has_the_root_of_the_standard_at_every_size(judged: dict[str, Any]) -> None:
    leaves = [leaf_hash(b"%d" % number) for number in range(70)]
    assert judged["roots"] == [root_of(leaves[:size]).hex() for size in range(71)]


def test_it_reads_json_as_strictly_as_the_product(judged: dict[str, Any]) -> None:
    for path, found in zip(json_texts(), judged["texts"], strict=True):
        assert found == is_strict(path.read_bytes()), path.name


def is_strict(data: bytes) -> bool:
    try:
        strict_json.parse(data)
    except ValueError:
        return False
    return True


def test_genuine_needs_a_key_and_something_that_it_signed() -> None:
    kept, empty, receipts = [LOG.checkpoint(24)], [LOG.checkpoint(0)], [LOG.receipt_file(3, 24)]
    cases = [
        Case(LOG.data, KEY, checkpoints=kept),
        Case(LOG.data, checkpoints=kept),
        Case(LOG.data, KEY),
        Case(LOG.data, KEY, checkpoints=empty),
        Case(key=KEY, receipts=receipts),
        Case(receipts=receipts),
        Case(key=KEY, checkpoints=kept),
        Case(key=KEY, short=[receipt_text(LOG.receipts[3])]),
    ]
    words = [one["word"] for one in in_node(cases)]
    assert words == ["genuine", "consistent", "consistent", "consistent", "genuine", "consistent", "genuine", "nothing"]


ROOT_TEXT = base64.b64encode(LOG.roots[24]).decode()
SOUND = f"{SIGNER.name}\n24\n{ROOT_TEXT}\n"
WITNESSED = SIGNER.sign(SOUND) + OTHER_SIGNER.sign(SOUND).split(b"\n\n")[1]
ODD_CHECKPOINTS = [
    *(SIGNER.sign(text) for text in (SOUND, f"another/log\n24\n{ROOT_TEXT}\n", f"{SOUND}more\n", f"{SOUND}\nmore\n")),
    *(SIGNER.sign(f"{SIGNER.name}\n{size}\n{ROOT_TEXT}\n") for size in ("024", "+24", "", "9" * 19, str(2**63 - 1), "24 ")),
    *(SIGNER.sign(f"{SIGNER.name}\n24\n{root}\n") for root in ("", "AA==", ROOT_TEXT.rstrip("="), ROOT_TEXT + "\u00e9")),
    WITNESSED,
    WITNESSED.replace("— another".encode(), "— an other".encode()),
    SIGNER.sign(SOUND) + SIGNER.sign("another text\n").split(b"\n\n")[1],
    OTHER_SIGNER.sign(SOUND),
    b"",
    b"\n\n",
    SIGNER.sign(SOUND) * 65,
]


@pytest.mark.parametrize("key", [KEY, ""], ids=["with the key", "without"])
def test_odd_checkpoints_are_judged_as_by_the_product(key: str) -> None:
    expected = [is_believed(note, bool(key)) for note in ODD_CHECKPOINTS]
    found = [one["ok"] for one in in_node(Case(key=key, checkpoints=[note]) for note in ODD_CHECKPOINTS)]
    assert found == expected
    assert 3 <= sum(expected) < len(expected) / 2 + 3


def is_believed(note: bytes, with_key: bool) -> bool:
    try:
        read_checkpoint("it", note, SIGNER.verifier_key if with_key else None, given=True)
    except VerificationFailed:
        return False
    return True


def test_a_checkpoint_beyond_2_to_the_53rd_is_held_against_a_log() -> None:
    notes = [SIGNER.sign(f"{SIGNER.name}\n{size}\n{ROOT_TEXT}\n") for size in (2**53 + 1, 2**63 - 1)]
    for one, size in zip(in_node(Case(LOG.data, KEY, checkpoints=[note]) for note in notes), (2**53 + 1, 2**63 - 1), strict=True):
        assert (one["word"], one["head"]["seq"], one["upTo"]) == ("broken", "23", str(size - 1))
        assert f"covers {size} records: the end was cut off, or this copy is older" in one["problems"][0]["text"]


def test_a_copy_that_a_program_saved_otherwise_is_called_that() -> None:
    crlf, bom = in_node([Case(LOG.data.replace(b"\n", b"\r\n"), KEY), Case(b"\xef\xbb\xbf" + LOG.data, KEY)])
    for one, what, count in ((crlf, "ends with CR LF", 24), (bom, "begins with a byte order mark", 1)):
        assert (one["word"], one["problems"][0]["seq"], len(one["problems"])) == ("broken", "0", count)
        assert f"{what}, which a program that saved a copy may have" in one["problems"][0]["text"]


def test_receipts_and_heads_are_held_against_each_other_without_a_log() -> None:
    other = Evidence(24, (9,), text="other ")
    whole = LOG.receipt_file(3, 24)
    cases = [
        Case(key=KEY, receipts=[whole], short=[receipt_text(LOG.receipts[3])]),
        Case(key=KEY, receipts=[whole], short=[receipt_text(other.receipts[3])]),
        Case(key=KEY, checkpoints=[LOG.checkpoint(24), other.checkpoint(24)]),
        Case(key=KEY, checkpoints=[LOG.checkpoint(24), LOG.checkpoint(9)]),
    ]
    assert [one["word"] for one in in_node(cases)] == ["genuine", "broken", "broken", "genuine"]


def test_long_texts_are_checked_where_they_are_given() -> None:
    text = b"a long text " * 100
    name = hashlib.sha256(text).hexdigest()
    log = Evidence(3, text='{"sha256"').data  # what a caller writes is escaped, and names nothing
    from_record = _log_naming(name, len(text))
    cases = [
        Case(from_record, texts={name: text}),
        Case(from_record, texts={name: text + b"!"}),
        Case(log, texts={name: text + b"!"}),
    ]
    verdicts = in_node(cases)
    assert [one["word"] for one in verdicts] == ["consistent", "broken", "consistent"]
    assert verdicts[1]["problems"][0]["seq"] == "1"


def _log_naming(sha256: str, size: int) -> bytes:
    drafts = [draft("log.opened", None, {}), draft("ask.received", "alice", {"query": {"sha256": sha256, "bytes": size}})]
    return link(drafts, EMPTY, "2026-11-23T09:15:02.123456Z")[0]
