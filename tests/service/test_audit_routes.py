"""GET /audit/…: what anyone, a principal and an auditor can read, byte for byte, and what is recorded of it."""

from __future__ import annotations

import hashlib
import json
import re
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import httpx
import pytest

from app.audit.evidence.stored_tree import StoredTree
from app.audit.format.merkle import leaf_hash, root_of
from app.audit.format.note import VerifierKey, verify_checkpoint
from app.audit.format.receipt import verify_receipt

from ..support.calls import bearer, check_problem, records_of, refusal
from ..support.service import HTTP, Service
from ..support.tiles import entries_of
from ..support.waiting import eventually


@dataclass
class Readers:
    """A service with records, and three principals who read it."""

    service: Service
    alice: dict[str, str]
    bob: dict[str, str]
    auditor: dict[str, str]

    def get(self, path: str, who: dict[str, str] | None = None) -> httpx.Response:
        return HTTP.get(f"{self.service.url}/audit/{path}", headers=who or {})

    def lines(self) -> list[bytes]:
        return self.service.log.read_bytes().split(b"\n")[:-1]

    def key(self) -> VerifierKey:
        return VerifierKey.parse(self.get("vkey").text)

    def ask(self, who: dict[str, str]) -> int:
        """The `seq` of the record of an answer."""
        response = HTTP.post(self.service.url + "/ask", json={"query": "hi"}, headers=who)
        assert response.status_code == 200, response.text
        return int(response.json()["receipt"]["seq"])

    def head(self) -> int:
        return verify_checkpoint(self.get("checkpoint").content, self.key()).size


@pytest.fixture(scope="module")
def readers(service: Service) -> Readers:
    tokens = [
        bearer(service.token(name, service.add_client(name, role)))
        for name, role in (("alice", "ai.playground.user"), ("bob", "ai.playground.user"), ("auditor", "ai.audit.reader"))
    ]
    readers = Readers(service, *tokens)
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(readers.ask, [readers.alice, readers.bob] * 70))
    return readers


# --- the checkpoint, for anyone ------------------------------------------------------------------------


def test_the_checkpoint_and_its_key_are_public_and_leave_no_record(readers: Readers) -> None:
    eventually(lambda: readers.head() >= 2)  # the first record is signed by `init`, the next ones as soon as there is time
    response = readers.get("checkpoint")
    assert response.status_code == 200
    assert response.headers["content-type"] == "text/plain; charset=utf-8"
    assert readers.get("vkey").headers["content-type"] == "text/plain; charset=utf-8"
    tile = readers.get("tile/0/000.p/2")
    assert tile.status_code == 200, tile.text
    head = verify_checkpoint(response.content, readers.key())
    assert head.origin == json.loads(readers.lines()[0])["details"]["origin"]
    assert head.root == root_of(leaf_hash(line) for line in readers.lines()[: head.size])
    assert [record for one in (response, tile) for record in records_of(readers.service, one)] == []


def test_a_checkpoint_soon_covers_a_new_record(readers: Readers) -> None:
    seq = readers.ask(readers.alice)
    eventually(lambda: readers.head() > seq)


# --- receipts ------------------------------------------------------------------------------------


def test_the_newest_record_has_a_receipt_at_once_which_needs_no_log(readers: Readers) -> None:
    key = readers.key()
    for _ in range(5):
        seq = readers.ask(readers.alice)
        response = readers.get(f"receipts/{seq}", readers.alice)
        assert response.status_code == 200, response.text
        assert response.headers["content-type"] == "text/plain; charset=utf-8"
        proven = verify_receipt(response.content, key)
        assert (proven.seq, proven.line) == (seq, readers.lines()[seq])
    for seq in (0, 127, 128, 255, 256):
        proven = verify_receipt(readers.get(f"receipts/{seq}", readers.auditor).content, key)
        assert (proven.seq, proven.line) == (seq, readers.lines()[seq])


# --- own entries, others' entries ----------------------------------------------------------------


def test_an_own_record_is_shown_in_its_exact_bytes_without_another_record(readers: Readers) -> None:
    seq = readers.ask(readers.alice)
    response = readers.get(f"entries/{seq}", readers.alice)
    assert response.content == readers.lines()[seq] + b"\n"
    assert response.headers["content-type"] == "application/json"
    assert hashlib.sha256(response.content[:-76]).hexdigest() == json.loads(response.content)["hash"]
    receipt = readers.get(f"receipts/{seq}", readers.alice)
    page = readers.get(f"entries?from={seq}", readers.alice)
    assert [record for one in (response, receipt, page) for record in records_of(readers.service, one)] == []


@pytest.mark.parametrize("what", ["entries", "receipts"])
def test_anothers_record_and_a_missing_one_are_refused_in_the_same_words(readers: Readers, what: str) -> None:
    bobs = readers.ask(readers.bob)
    bodies = []
    for seq in (bobs, 0, 10**6, 10**17):  # another principal's, without a user, past the end
        response = readers.get(f"{what}/{seq}", readers.alice)
        check_problem(response, 404, "not_found")
        assert refusal(readers.service, response)["user_id"] == "alice"
        bodies.append({**response.json(), "request_id": ""})
    assert bodies == bodies[:1] * 4


def test_a_principal_who_is_no_auditor_finds_all_own_records_only(readers: Readers) -> None:
    mine = [line for line in readers.lines() if json.loads(line)["user_id"] == "alice"]
    found = walk(readers, readers.alice, "entries?limit=50")
    assert found[: len(mine)] == mine
    assert {json.loads(line)["user_id"] for line in found} == {"alice"}


def test_without_a_token_only_checkpoint_key_and_hash_tiles_are_shown(readers: Readers) -> None:
    for path in ("entries", "entries/0", "receipts/0", "tile/entries/000.p/1"):
        response = readers.get(path)
        check_problem(response, 401, "invalid_token")
        assert refusal(readers.service, response)["details"]["code"] == "token_missing"


def test_bundles_are_for_auditors(readers: Readers) -> None:
    response = readers.get("tile/entries/000.p/1", readers.alice)
    check_problem(response, 403, "insufficient_scope")
    assert 'scope="ai.audit.reader"' in response.headers["www-authenticate"]
    assert refusal(readers.service, response, "ask.refused")["user_id"] == "alice"


# --- an auditor ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "details"),
    [
        ("entries/3", {"what": "entry", "from": 3, "count": 1}),
        ("receipts/4", {"what": "receipt", "from": 4, "count": 1}),
        ("entries?from=5&limit=7", {"what": "entries", "from": 5, "count": 7}),
        ("entries?from=999999&limit=7", {"what": "entries", "from": 999_999, "count": 0}),
        ("tile/entries/000", {"what": "bundle", "from": 0, "count": 256}),
        ("tile/entries/001.p/2", {"what": "bundle", "from": 256, "count": 2}),
    ],
)
def test_what_an_auditor_reads_is_recorded(readers: Readers, path: str, details: dict[str, Any]) -> None:
    eventually(lambda: readers.head() > 260)
    response = readers.get(path, readers.auditor)
    assert response.status_code == 200
    if path.startswith("entries/"):
        assert response.content == readers.lines()[details["from"]] + b"\n"
    [record] = records_of(readers.service, response)
    assert (record["action"], record["user_id"]) == ("audit.read", "auditor")
    shown = {**details, "address": "127.0.0.1"}
    assert {**shown, "credential": record["details"]["credential"]} == record["details"]


# --- pages ---------------------------------------------------------------------------------------


def walk(readers: Readers, who: dict[str, str], path: str) -> list[bytes]:
    """All lines on the pages that the Link headers lead to."""
    found: list[bytes] = []
    while True:
        response = readers.get(path, who)
        assert response.headers["content-type"] == "application/x-ndjson"
        found += response.content.split(b"\n")[:-1]
        link = re.fullmatch(r'</audit/(entries\?from=\d+&limit=\d+)>; rel="next"', response.headers.get("link", ""))
        if link is None:
            assert "link" not in response.headers
            return found
        path = link[1]


@pytest.mark.parametrize("limit", [23, 256, 1000])
def test_pages_lead_through_the_whole_log_once_in_the_bytes_of_the_file(readers: Readers, limit: int) -> None:
    before = readers.lines()
    found = walk(readers, readers.auditor, f"entries?limit={limit}")
    assert found[: len(before)] == before
    assert found == readers.lines()[: len(found)]


@pytest.mark.parametrize(
    ("query", "start", "count"),
    [
        ("", 0, 100),
        ("?from=0&limit=1", 0, 1),
        ("?limit=1&from=7", 7, 1),
        ("?from=250&limit=10", 250, 10),
        ("?from=999999999999999999", 0, 0),
    ],
)
def test_a_page_starts_and_ends_where_it_was_asked_to(readers: Readers, query: str, start: int, count: int) -> None:
    response = readers.get(f"entries{query}", readers.auditor)
    assert response.content.split(b"\n")[:-1] == readers.lines()[start : start + count]


@pytest.mark.parametrize(
    "query",
    [
        *("limit=0", "limit=1001", "limit=-1", "limit=", "limit=1e3", "limit=+5", "limit=0x10", "limit=1_0", "limit=01"),
        *("from=-1", "from=", "from=1.0", "from=%D9%A3", "from=%EF%BC%91", "from=%20 1", "from=1000000000000000000"),
        *("from=1&from=1", "from=1&from=2", "limit=5&limit=5", "from=1&until=2", "FROM=1", "from=" + "9" * 5000),
    ],
)
def test_any_other_parameters_are_refused(readers: Readers, query: str) -> None:
    response = readers.get(f"entries?{query}", readers.auditor)
    check_problem(response, 422, "invalid_request")
    assert refusal(readers.service, response)["details"]["route"] == "/audit/entries"


# --- tiles ---------------------------------------------------------------------------------------


def test_hash_tiles_of_many_widths_and_bundles_match_the_log(readers: Readers) -> None:
    lines = readers.lines()
    assert len(lines) > 260
    leaves = b"".join(leaf_hash(line) for line in lines)
    eventually(lambda: readers.head() >= len(lines))
    for width in (1, 2, 127, 128, 255, 256):
        address = "000" if width == 256 else f"000.p/{width}"
        tile = readers.get(f"tile/0/{address}")
        assert tile.content == leaves[: 32 * width]
        assert tile.headers["content-type"] == "application/octet-stream"
        assert tile.headers.get_list("cache-control") == ["public, max-age=31536000, immutable"]
        bundle = readers.get(f"tile/entries/{address}", readers.auditor)
        assert entries_of(bundle.content) == lines[:width]
        assert bundle.headers.get_list("cache-control") == ["no-store"]
    assert readers.get("tile/1/000.p/1").content == root_of(leaf_hash(line) for line in lines[:256])


@pytest.mark.parametrize(
    "address",
    [
        *("0/000.p/256", "0/000.p/0", "0/000.p/01", "0/0", "0/00", "0/0000", "0/x000/000", "00/000", "-1/000", "64/000"),
        *("0/000.P/1", "0/000/", "0/000.p/", "0/000.p", "0/999", "0/x999/x999/999", "63/000", "entries/999", "entries/000.p/0"),
        *("1/000", "1/000.p/2", "2/000.p/1", "", "0", "entries", "entries/", "0/..%2F..%2Fcheckpoint", "0/000.p/1%0A", "0/٠٠٠"),
    ],
)
def test_an_address_of_no_signed_tile_is_refused_and_recorded(readers: Readers, address: str) -> None:
    response = readers.get(f"tile/{address}", readers.auditor)
    check_problem(response, 404, "not_found")
    assert refusal(readers.service, response)["details"]["code"] == "not_found"


@pytest.mark.parametrize("number", ["007", "-1", "+1", "1.0", "1e1", "٣", "9" * 19, "9" * 4000, "x", "1%00", "0x1", " 1"])
def test_the_number_of_a_record_has_one_spelling(readers: Readers, number: str) -> None:
    for what in ("entries", "receipts"):
        response = readers.get(f"{what}/{number}", readers.auditor)
        check_problem(response, 404, "not_found")
        refusal(readers.service, response)


# --- readers and writers -------------------------------------------------------------------------


def test_questions_are_answered_while_readers_wait_for_the_tree(readers: Readers) -> None:
    """The tree's lock is held while 16 clients ask for records that are not signed yet."""
    with ThreadPoolExecutor(16) as pool, StoredTree.beside(readers.service.log).locked(20):
        seq = readers.ask(readers.alice)
        waiting = [pool.submit(readers.get, f"receipts/{seq}", readers.alice) for _ in range(16)]
        for _ in range(10):
            seq = readers.ask(readers.bob)
        assert readers.head() <= seq
        assert not all(one.done() for one in waiting)
        response = waiting[0].result(30)
        check_problem(response, 503, "evidence_unavailable")
        assert int(response.headers["retry-after"]) >= 1
    eventually(lambda: readers.get(f"receipts/{seq}", readers.bob).status_code == 200)


def test_sixteen_readers_of_everything_see_one_log_while_it_is_written(readers: Readers) -> None:
    key = readers.key()

    def read(number: int) -> None:
        for _ in range(3):
            seq = readers.ask(readers.alice if number % 2 else readers.bob)
            verify_receipt(readers.get(f"receipts/{seq}", readers.auditor).content, key)
            assert len(readers.get("entries?from=100&limit=100", readers.auditor).content.split(b"\n")) == 101
            assert len(readers.get("tile/entries/000", readers.auditor).content) > 256
            verify_checkpoint(readers.get("checkpoint").content, key)

    with ThreadPoolExecutor(16) as pool:
        list(pool.map(read, range(16)))
    assert readers.service.verify()["ok"]
