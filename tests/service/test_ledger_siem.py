"""Records in PostgreSQL reach other systems as those of a file do: by export, and by a process that follows."""

from __future__ import annotations

import json
from pathlib import Path

from ..support.fake_openai import FakeOpenAI
from ..support.ledger_nodes import Nodes
from ..support.otlp_receiver import attributes, receiving
from ..support.postgres_server import PostgresServer


def test_the_ledger_is_exported_and_forwarded(tmp_path: Path, postgres: PostgresServer, fake: FakeOpenAI) -> None:
    nodes = Nodes(tmp_path, postgres, OPENAI_BASE_URL=fake.base_url)
    with nodes.one as service:
        token = service.token(*nodes.client)
        assert {service.ask(token).status_code for _ in range(3)} == {200}
    lines = service.run("audit", "export", "--format", "jsonl").stdout.splitlines()
    stored = [json.loads(line)["hash"] for line in lines]
    assert len(stored) >= 8
    events = [json.loads(line) for line in service.run("audit", "export", "--format", "ocsf").stdout.splitlines()]
    assert [event["metadata"]["uid"] for event in events] == stored
    assert all("signatures" in event["unmapped"]["record_integrity"] for event in events)
    with receiving() as receiver:
        for _ in range(2):
            service.run("audit", "forward", f"otlp+{receiver.url}", "--once", "--name", "ledger")
        assert [attributes(one)["log.record.uid"] for one in receiver.logs] == stored
