"""Two services on one ledger are one log: one head, receipts from either, and none goes on over rewritten records."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import httpx
import pytest

from app.audit.format.note import VerifierKey
from app.audit.format.receipt import verify_receipt

from ..support.fake_openai import FakeOpenAI
from ..support.ledger_nodes import Nodes, ask, get, size_at
from ..support.leftovers import SHARED_CHILDREN
from ..support.nodes import running as started
from ..support.own_ledger import role_in
from ..support.paths import ROOT
from ..support.pgbouncer import pgbouncer
from ..support.postgres_server import PostgresServer
from ..support.service import HTTP, Service, free_port
from ..support.waiting import eventually

Asked = tuple[Nodes, str]


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory, postgres: PostgresServer, fake: FakeOpenAI) -> Iterator[Asked]:
    """Two nodes, and a token that both take."""
    nodes = Nodes(tmp_path_factory.mktemp("nodes"), postgres, OPENAI_BASE_URL=fake.base_url)
    for node in (nodes.one, nodes.other):
        node.env["METRICS_PORT"] = str(free_port())
    with started([nodes.one, nodes.other]):
        yield nodes, nodes.one.token(*nodes.client)


def test_either_node_proves_what_the_other_has_recorded(running: Asked) -> None:
    nodes, token = running
    key = VerifierKey.parse(HTTP.get(f"{nodes.one.url}/audit/vkey").text.strip())
    for asked, proves in ((nodes.one, nodes.other), (nodes.other, nodes.one)):
        receipt = ask(asked, token)
        proven = verify_receipt(get(proves, token, f"/audit/receipts/{receipt['seq']}"), key)
        assert (proven.seq, json.loads(proven.line)["hash"]) == (receipt["seq"], receipt["hash"])
        assert json.loads(get(proves, token, f"/audit/entries/{receipt['seq']}"))["hash"] == receipt["hash"]


def test_each_node_shows_its_own_questions_and_the_head_of_all(running: Asked) -> None:
    nodes, token = running

    def shown(node: Service, name: str) -> float:
        lines = HTTP.get(f"http://127.0.0.1:{node.env['METRICS_PORT']}/metrics").text.splitlines()
        return sum(float(line.rpartition(" ")[2]) for line in lines if re.match(rf"secure_ai_{name}[{{ ]", line))

    before = [shown(node, "questions_total") for node in (nodes.one, nodes.other)]
    seq = ask(nodes.one, token)["seq"]
    assert [shown(node, "questions_total") for node in (nodes.one, nodes.other)] == [before[0] + 1, before[1]]
    for node in (nodes.one, nodes.other):
        eventually(lambda node=node: shown(node, "log_head_records") > seq)  # type: ignore[misc]  # bound in the loop
        assert (shown(node, "log_sound"), shown(node, "audit_closed")) == (1, 0)
    assert shown(nodes.one, "audit_append_seconds_count") == shown(nodes.one, "audit_sync_seconds_count") > 0


def test_one_head_stands_over_what_both_record(running: Asked) -> None:
    nodes, token = running
    receipts = [ask(node, token) for node in (nodes.one, nodes.other) * 3]
    last = receipts[-1]["seq"]
    for node in (nodes.one, nodes.other):
        eventually(lambda node=node: size_at(node) > last)  # type: ignore[misc]
        found = node.verify(*(f"{one['seq']}:{one['hash']}" for one in receipts))
        assert (found["ok"], found["signatures"]["verdict"], found["completeness"]["verdict"]) == (True, "ok", "ok")
    tiles = [HTTP.get(f"{node.url}/audit/tile/0/000.p/2").content for node in (nodes.one, nodes.other)]
    assert tiles[0] == tiles[1]
    assert len(tiles[0]) == 2 * 32


def test_the_exported_log_verifies_without_the_database(running: Asked, tmp_path: Path) -> None:
    nodes, token = running
    receipt = ask(nodes.one, token)
    eventually(lambda: size_at(nodes.one) > receipt["seq"])
    exported, vkey = tmp_path / "exported.jsonl", tmp_path / "vkey"
    vkey.write_bytes(HTTP.get(f"{nodes.one.url}/audit/vkey").content)
    assert nodes.other.cli("audit", "export", str(exported))["problem"] is None
    tool = [sys.executable, str(ROOT / "tools/verify_log.py"), str(exported), "--vkey", str(vkey)]
    tool += [
        "--checkpoint",
        str(exported.with_suffix(".tree") / "checkpoint"),
        "--receipt",
        f"{receipt['seq']}:{receipt['hash']}",
    ]
    found = json.loads(subprocess.run(tool, capture_output=True, check=True).stdout)
    assert (found["ok"], found["signatures"]) == (True, "ok")
    assert nodes.one.cli("audit", "verify", "--log", str(exported))["ok"]


def test_a_pack_of_either_node_is_proven_without_the_database(running: Asked, tmp_path: Path) -> None:
    nodes, token = running
    receipt = ask(nodes.one, token)
    eventually(lambda: size_at(nodes.one) > receipt["seq"])
    pack, vkey = tmp_path / "evidence.zip", tmp_path / "vkey"
    vkey.write_bytes(HTTP.get(f"{nodes.one.url}/audit/vkey").content)
    made = nodes.other.cli("audit", "pack", "--since", "1h", "--to", str(pack))
    assert (made["ok"], made["first"], made["last"] >= receipt["seq"]) == (True, 0, True)
    with ZipFile(pack) as zip_file:
        zip_file.extractall(tmp_path)
    tool = [sys.executable, str(tmp_path / "verify_slice.py"), "log.jsonl", "--slice", "slice", "--vkey", str(vkey)]
    tool += ["--receipt", f"{receipt['seq']}:{receipt['hash']}"]
    found = json.loads(subprocess.run(tool, cwd=tmp_path, capture_output=True, check=True).stdout)
    assert (found["ok"], found["signatures"]) == (True, "ok")
    assert nodes.one.cli("audit", "verify-pack", str(pack), "--vkey", str(vkey))["ok"]


def test_records_without_a_head_are_left_out_and_make_no_read_fail(running: Asked) -> None:
    nodes, token = running
    known = ask(nodes.one, token)["seq"]
    eventually(lambda: size_at(nodes.other) > known)
    notary = nodes.other.notary_pid()

    def read(path: str) -> httpx.Response:
        return HTTP.get(nodes.other.url + path, headers={"Authorization": f"Bearer {token}"})

    def search() -> dict[str, Any]:
        return dict(read("/audit/search?action=ask.answered").json())

    os.kill(notary, signal.SIGSTOP)  # so this node's copy of the tree does not grow
    try:
        new = ask(nodes.one, token)["seq"]
        assert size_at(nodes.other) <= new
        eventually(lambda: search().get("unsigned", 0) > 0, "once the index has the new records")
        several = ("/audit/export?action=ask.answered", f"/audit/entries?from={known}")
        paths = (*several, f"/audit/entries/{new}", f"/audit/receipts/{new}")
        with ThreadPoolExecutor(len(paths)) as pool:
            export, page, *single = pool.map(read, paths)
        for lines in (export.text.splitlines(), page.text.splitlines()):
            assert json.loads(lines[-1])["seq"] == known
        for answer in single:
            assert (answer.status_code, answer.json()["code"]) == (503, "evidence_unavailable")
            assert int(answer.headers["retry-after"]) > 0
        found = search()
        assert (found["records"][0]["seq"], found["count"]) == (known, len(export.text.splitlines()))
        assert "not signed yet" in read("/console/parts/records/list?action=ask.answered").text
    finally:
        os.kill(notary, signal.SIGCONT)
    eventually(lambda: search()["records"][0]["seq"] == new)
    *shown, receipt = [read(path) for path in paths]
    assert receipt.status_code == 200
    for answer in shown:
        assert (answer.status_code, f'"seq":{new},'.encode() in answer.content) == (200, True)


def test_a_node_with_another_setting_is_refused_over_a_ledger_alone(running: Asked) -> None:
    nodes, _ = running
    for node in (nodes.one, nodes.other):
        assert "DATABASE_URL" not in node.env
        eventually(lambda node=node: HTTP.get(f"{node.url}/readyz").json()["nodes"] == "alike")  # type: ignore[misc]
    before, nodes.other.env["RATE_LIMIT"] = nodes.other.env["RATE_LIMIT"], "61"
    try:
        refused = nodes.other.run("serve", "--port", "0", status=2)
    finally:
        nodes.other.env["RATE_LIMIT"] = before
    assert re.search("Node (one|other) serves with another RATE_LIMIT than this one: make them alike", refused.stderr)


def test_doctor_knows_the_ledger(running: Asked) -> None:
    nodes, _ = running
    checks = {one["about"]: one for one in nodes.one.cli("doctor", status=0)["checks"]}
    assert "a node signs its end now" in checks["ledger"]["says"]
    assert checks["log"]["state"] == "ok"


@pytest.mark.slow
def test_another_node_signs_when_one_is_killed(running: Asked) -> None:
    nodes, token = running
    nodes.one.kill()
    receipt = ask(nodes.other, token)
    eventually(lambda: size_at(nodes.other) > receipt["seq"])
    SHARED_CHILDREN.add(nodes.one.start().pid)
    later = ask(nodes.one, token)
    eventually(lambda: size_at(nodes.one) > later["seq"])
    assert nodes.one.verify(f"{receipt['seq']}:{receipt['hash']}")["ok"]


def test_a_start_behind_pgbouncer_is_refused_with_a_sentence(running: Asked) -> None:
    nodes, _ = running
    with pgbouncer(nodes.server) as url:
        node = nodes.one
        before, node.env["AUDIT_URL"] = node.env["AUDIT_URL"], url
        try:
            refused = node.run("serve", "--port", "0", status=2)
        finally:
            node.env["AUDIT_URL"] = before
    assert "connection pooler such as PgBouncer" in refused.stderr
    assert "Traceback" not in refused.stderr


def test_a_node_without_the_log_key_says_where_it_comes_from(running: Asked, tmp_path: Path) -> None:
    nodes, _ = running
    refused = subprocess.run(
        [sys.executable, "-m", "app", "init"], cwd=tmp_path, env={**nodes.one.env}, capture_output=True, text=True, timeout=60
    )
    assert refused.returncode == 2
    assert "Copy it from another node" in refused.stderr


@pytest.mark.slow
def test_a_node_closes_for_a_weak_server_and_for_rewritten_records(running: Asked) -> None:
    """As after a failover to a server that nobody has set up. It comes last: a rewritten log stays closed."""
    nodes, token = running
    role = role_in(nodes.ledger)
    nodes.server.query(f"ALTER ROLE {role} SET synchronous_commit = local")
    eventually(lambda: HTTP.get(f"{nodes.one.url}/readyz").status_code == 503)
    assert "synchronous_commit=local" in "".join(nodes.one.security_log("head_not_signed"))
    nodes.server.query(f"ALTER ROLE {role} RESET synchronous_commit")
    for node in (nodes.one, nodes.other):
        node.wait_ready()
    receipt = ask(nodes.one, token)
    for node in (nodes.one, nodes.other):
        eventually(lambda node=node: size_at(node) > receipt["seq"])  # type: ignore[misc]
    changed = "UPDATE audit.lines SET line = replace(convert_from(line, 'UTF8'), 'capital', 'Capital')::bytea WHERE seq = %s"
    nodes.query(changed, receipt["seq"] - 1)
    for node in (nodes.one, nodes.other):
        eventually(lambda node=node: HTTP.get(f"{node.url}/readyz").status_code == 503)  # type: ignore[misc]
    found = nodes.one.verify()
    assert (found["ok"], found["problems"][0]["seq"]) == (False, receipt["seq"] - 1)
