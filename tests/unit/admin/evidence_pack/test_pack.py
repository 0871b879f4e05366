"""A pack holds the part of the log that was asked for, with its proof; the same log gives the same bytes."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from zipfile import ZipFile

import pytest

from app.admin.evidence_pack.pack import Packed, pack_evidence
from app.admin.evidence_pack.verify_pack import verify_pack
from app.audit.format.merkle import leaf_hash
from app.audit.format.note import VerifierKey
from app.audit.format.record import draft
from app.audit.storage.append import append
from app.audit.storage.long_texts import LongTexts
from app.cli.audit_report import log_document
from app.errors import EvidenceUnavailable, InvalidRequest
from app.settings import load_settings
from app.wiring.audit import open_checkpoint_signer

from ....support.installation import LOG, install
from ....support.stores import open_store

TO = Path("evidence.zip")
TEXT = b"a long text " * 50


def record(count: int, at: str) -> None:
    """*count* records of the moment *at*, signed."""
    store = open_store(LOG)
    append(
        store.append, [draft("ask.received", "alice", {"query": f"confidential <b>{n}</b>"}) for n in range(count)], lambda: at
    )
    store.close()
    assert open_checkpoint_signer(load_settings()).publish_next()


@pytest.fixture(autouse=True)
def _installed() -> None:
    install()
    record(3, "2036-11-01T10:00:00.000000Z")
    record(4, "2036-11-02T10:00:00.000000Z")


def pack(since: str | None = None, to: Path = TO, *, content: bool = True) -> Packed:
    return pack_evidence(to, since, log_document, content=content)


def read(name: str, path: Path = TO) -> bytes:
    with ZipFile(path) as zip_file:
        return zip_file.read(name)


def key() -> VerifierKey:
    return VerifierKey.parse((LOG.with_suffix(".tree") / "vkey").read_text())


@pytest.mark.parametrize(
    ("since", "first"),
    [(None, 0), ("2036-11-01T10:00:00.000000Z", 1), ("2036-11-02T00:00:00.000000Z", 4), ("2036-11-02T10:00:00.000000Z", 4)],
)
def test_the_part_begins_with_the_first_record_of_the_moment(since: str | None, first: int) -> None:
    about = pack(since).about
    assert (about.first, about.last, about.size) == (first, 7, 8)
    assert read("log.jsonl") == b"".join(LOG.read_bytes().splitlines(keepends=True)[first:])
    verified = verify_pack(TO, key())
    assert (verified.ok, verified.same_key, verified.report.first) == (True, True, first)


def test_records_that_are_not_signed_yet_are_left_out() -> None:
    store = open_store(LOG)
    append(store.append, [draft("log.alive", None, {})])
    store.close()
    assert pack().about.last == 7


def test_without_content_no_word_of_a_record_is_in_the_pack() -> None:
    about = pack(content=False).about
    lines = LOG.read_bytes().splitlines()
    assert read("log.jsonl").decode().split() == [leaf_hash(line).hex() for line in lines]
    assert about.withheld
    with ZipFile(TO) as zip_file:
        everything = b"".join(zip_file.read(name) for name in zip_file.namelist() if name != "verify.html")
    head = lines[-1][-66:-2]  # the operator's verdict names the last record by its hash
    for word in (b"alice", b"confidential", b"2036-11", lines[3][-66:-2]):
        assert word not in everything, word
    assert everything.count(head) == 1
    assert "open" not in json.loads(read("verdict.json")), "it names the records that are questions"
    verified = verify_pack(TO, key())
    assert (verified.ok, verified.report.withheld, verified.report.last_record) == (True, 8, None)


def test_the_same_log_gives_the_same_bytes() -> None:
    pack()
    pack(to=Path("again.zip"))
    assert TO.read_bytes() == Path("again.zip").read_bytes()
    assert TO.stat().st_mode & 0o777 == 0o600


def test_long_texts_are_packed_with_the_records_that_name_them() -> None:
    digest = hashlib.sha256(TEXT).hexdigest()
    LongTexts.beside(LOG).keep({digest: TEXT})
    store = open_store(LOG)
    append(store.append, [draft("ask.received", "alice", {"query": {"sha256": digest, "bytes": len(TEXT)}})])
    store.close()
    open_checkpoint_signer(load_settings()).publish_next()
    pack()
    assert read(f"texts/{digest[:2]}/{digest}") == TEXT
    assert verify_pack(TO, key()).texts == 1
    pack(to=Path("without.zip"), content=False)
    with ZipFile("without.zip") as zip_file:
        assert not [name for name in zip_file.namelist() if name.startswith("texts/")]


def test_nothing_is_overwritten_and_nothing_is_left_of_a_failure() -> None:
    pack()
    with pytest.raises(InvalidRequest, match="already"):
        pack()
    TO.unlink()
    with pytest.raises(InvalidRequest, match="newest is of 2036-11-02"):
        pack("2099-01-01T00:00:00.000000Z")
    assert not list(Path().glob("*.zip*"))


def test_a_log_that_is_not_sound_is_packed_as_evidence() -> None:
    LOG.write_bytes(LOG.read_bytes().replace(b"<b>2</b>", b"<b>3</b>", 1))
    done = pack()
    assert not done.verdict.ok
    assert json.loads(read("verdict.json"))["ok"] is False
    assert "not sound" in read("report.html").decode()
    assert not verify_pack(TO, key()).ok


def test_a_log_without_a_signature_is_not_packed() -> None:
    (LOG.with_suffix(".tree") / "checkpoint").unlink()
    with pytest.raises(EvidenceUnavailable, match="signed"):
        pack()


def test_progress_goes_from_nothing_to_all() -> None:
    seen: list[tuple[int, int]] = []
    pack_evidence(TO, None, log_document, progress=lambda done, total: seen.append((done, total)))
    assert seen == sorted(seen)
    assert all(done <= total for done, total in seen)


def test_its_digests_are_those_of_its_files() -> None:
    pack()
    listed = {line[66:]: line[:64] for line in read("SHA256SUMS").decode().splitlines()}
    with ZipFile(TO) as zip_file:
        assert {*listed, "SHA256SUMS"} == set(zip_file.namelist())
        assert all(hashlib.sha256(zip_file.read(name)).hexdigest() == digest for name, digest in listed.items())
