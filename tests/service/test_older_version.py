"""A log, its signed tree and a client database that an earlier version wrote are served and verified by this one.

`tests/support/older_version` was written by the version before the packages were reorganised (November 2026).
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ..support.fake_openai import FakeOpenAI
from ..support.paths import SUPPORT
from ..support.service import HTTP, Service

OLDER = SUPPORT / "older_version"
FACTS: dict[str, Any] = json.loads((OLDER / "facts.json").read_text())


@pytest.fixture(scope="module")
def old(tmp_path_factory: pytest.TempPathFactory, fake: FakeOpenAI) -> Iterator[Service]:
    folder: Path = tmp_path_factory.mktemp("old")
    shutil.copytree(OLDER / "logs", folder / "logs")
    for path in (folder / "logs").rglob("*"):  # git keeps no modes
        path.chmod(0o700 if path.is_dir() else 0o600)
    with Service(folder, OPENAI_BASE_URL=fake.base_url, OPENAI_API_KEY="k", SECRET_KEY=FACTS["secret_key"]) as running:
        yield running


def test_its_records_are_kept_and_new_ones_follow(old: Service) -> None:
    before = (OLDER / "logs" / "audit_log.jsonl").read_bytes()
    answer = old.ask(old.token("alice", FACTS["client_secret"])).json()
    assert old.log.read_bytes().startswith(before)
    new = answer["receipt"]
    verdict = old.verify(*FACTS["receipts"], f"{new['seq']}:{new['hash']}")
    assert verdict["ok"], verdict
    assert verdict["completeness"] == {"verdict": "ok", "up_to": new["seq"]}


def test_its_receipts_and_checkpoints_still_verify(old: Service) -> None:
    verdict = old.cli("audit", "verify", "--checkpoint", str(OLDER / "checkpoint"), "--vkey", str(OLDER / "vkey"))
    assert (verdict["ok"], verdict["completeness"]["verdict"]) == (True, "ok")
    proven = old.cli("audit", "verify-receipt", str(OLDER / "receipt.tlog-proof"), "--vkey", str(OLDER / "vkey"))
    assert (proven["ok"], f"{proven['seq']}:{proven['record']['hash']}") == (True, FACTS["receipts"][0])
    assert HTTP.get(old.url + "/audit/vkey").text == (OLDER / "vkey").read_text()


def test_its_receipts_are_served_again_under_a_newer_checkpoint(old: Service, tmp_path: Path) -> None:
    token = old.token("auditor", FACTS["auditor_secret"])
    seq = FACTS["receipts"][1].split(":")[0]
    receipt = tmp_path / "receipt"
    receipt.write_bytes(HTTP.get(f"{old.url}/audit/receipts/{seq}", headers={"Authorization": f"Bearer {token}"}).content)
    proven = old.cli("audit", "verify-receipt", str(receipt), "--vkey", str(OLDER / "vkey"))
    assert f"{proven['seq']}:{proven['record']['hash']}" == FACTS["receipts"][1]


def test_its_database_is_brought_up_to_date_and_a_client_gets_a_key(old: Service) -> None:
    added = old.cli("keys", "add", "alice", "--expires", "1h")
    assert old.ask(added["key"]).status_code == 200
    assert [key["key_id"] for key in old.cli("keys", "list")] == [added["key_id"]]


def test_its_clients_are_known_with_their_roles_and_state(old: Service) -> None:
    listed = {client["client_id"]: client for client in old.cli("clients", "list")}
    assert listed.keys() == {"alice", "auditor", "bob"}
    form = {"grant_type": "client_credentials", "client_id": "bob", "client_secret": FACTS["client_secret"]}
    assert HTTP.post(old.url + "/token", data=form).json()["error"] == "invalid_client"
