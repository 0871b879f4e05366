"""A ledger restored from a base backup and its archived WAL, and what docs/how-to/many-machines.md tells the operator to do."""

from __future__ import annotations

import shutil
from contextlib import ExitStack
from pathlib import Path

import pytest

from ..support.archived_postgres import ArchivedPostgres
from ..support.fake_openai import FakeOpenAI
from ..support.ledger_nodes import Nodes, ask, size_at
from ..support.service import HTTP
from ..support.waiting import eventually


def begin_another_log(nodes: Nodes) -> None:
    """As the how-to says: on one node, with an administrator's URL; the other gets its key."""
    nodes.one.env["AUDIT_ADMIN_URL"] = str(nodes.ledger.admin_url)
    assert nodes.one.cli("init", "--new-log")["receipt"] is not None
    del nodes.one.env["AUDIT_ADMIN_URL"]
    shutil.copy(nodes.one.folder / "logs/audit_log.key", nodes.other.folder / "logs/audit_log.key")
    assert nodes.other.cli("init")["audit_log"] is None


@pytest.mark.slow
def test_only_a_restore_to_the_end_lets_the_nodes_go_on(tmp_path: Path, fake: FakeOpenAI) -> None:
    with ArchivedPostgres() as server, ExitStack() as opened:
        nodes = Nodes(tmp_path, server, OPENAI_BASE_URL=fake.base_url)
        both = (nodes.one, nodes.other)
        server.back_up()
        with nodes.one, nodes.other:
            token = nodes.one.token(*nodes.client)
            ask(nodes.one, token)
            server.name_point("early")
            receipt = ask(nodes.other, token)
            proof = f"{receipt['seq']}:{receipt['hash']}"
            for node in both:
                eventually(lambda node=node: size_at(node) > receipt["seq"])  # type: ignore[misc]
            server.archive_all()
            server.stop()
            for node in both:
                eventually(lambda node=node: HTTP.get(f"{node.url}/readyz").status_code == 503)  # type: ignore[misc]
            with server.restored():  # to the end: they go on by themselves
                for node in both:
                    node.wait_ready()
                    assert ask(node, token)["seq"] > receipt["seq"]
                    assert node.security_log("head_signed_again")
                assert nodes.other.verify(proof)["ok"]
            opened.enter_context(server.restored("early"))
            for node in both:
                eventually(lambda node=node: "not what" in HTTP.get(f"{node.url}/readyz").json()["log"])  # type: ignore[misc]
                assert node.ask(token).json()["code"] in ("audit_corrupt", "audit_unavailable")
            assert nodes.one.verify(proof)["ok"] is False
        assert "restored to an earlier point" in nodes.one.run("serve", "--port", "0", status=None).stderr
        assert nodes.one.run("audit", "export", str(tmp_path / "exported.jsonl")).returncode == 0
        begin_another_log(nodes)
        with nodes.one, nodes.other:
            token = nodes.one.token(*nodes.client)
            receipts = [ask(node, token) for node in both]
            for node in both:
                eventually(lambda node=node: size_at(node) > receipts[-1]["seq"])  # type: ignore[misc]
            assert nodes.other.verify(*(f"{one['seq']}:{one['hash']}" for one in receipts))["ok"]
