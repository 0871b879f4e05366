"""From settings to a forwarder: the cursor is beside the log, and has a name for each receiver."""

from __future__ import annotations

import http.server
import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from app.admin.forward_log import Forwarding, cursor_path, forward_log
from app.errors import ConfigError
from app.settings import load_settings

from ...support.evidence import Evidence

LOG = Evidence(24)


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SECRET_KEY", "s" * 43)
    monkeypatch.setenv("AUDIT_LOG_PATH", "log")
    (tmp_path / "log").write_bytes(LOG.data)
    return tmp_path


@pytest.fixture
def receiver() -> Iterator[tuple[str, list[Any]]]:
    got = list[Any]()

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            got.extend(json.loads(self.rfile.read(int(self.headers["content-length"]))))
            self.send_response(204)
            self.end_headers()

        def log_message(self, *said: Any) -> None:
            pass

    server = http.server.HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}/in", got
    server.shutdown()
    thread.join()
    server.server_close()


def test_what_is_in_the_log_is_delivered_once(folder: Path, receiver: tuple[str, list[Any]]) -> None:
    url, got = receiver
    wanted = Forwarding(url, "jsonl", until_end=True)
    assert forward_log(wanted, threading.Event()) == 24
    assert [one["hash"] for one in got] == [receipt.hash for receipt in LOG.receipts]
    assert forward_log(wanted, threading.Event()) == 0
    assert len(got) == 24


def test_each_name_has_its_own_cursor(folder: Path, receiver: tuple[str, list[Any]]) -> None:
    url, got = receiver
    for name in ("one", "two"):
        forward_log(Forwarding(url, name=name, has_texts=False, until_end=True), threading.Event())
    assert len(got) == 48
    assert {path.name for path in folder.glob("log.forward.*") if path.suffix != ".lock"} == {
        "log.forward.one",
        "log.forward.two",
    }
    assert '"query":"7"' not in json.dumps(got)


def test_a_name_that_is_a_path_is_refused() -> None:
    with pytest.raises(ConfigError, match="--name takes"):
        cursor_path(load_settings(), Forwarding("https://siem.example", name="../x"))
