"""The Postman collection of this repository passes under newman against a running service."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from ..support.optional import NODE_FOLDER, node_with
from ..support.paths import ROOT
from ..support.service import Service

COLLECTION = ROOT / "postman" / "secure-ai-assistant.postman_collection.json"


def newman(tmp_path: Path, collection: Path, **variables: str) -> dict[str, Any]:
    """Newman's report of one run of *collection*; its "status" is the exit status."""
    report = tmp_path / "report.json"
    command = [node_with("newman"), str(NODE_FOLDER / "node_modules/newman/bin/newman.js"), "run", str(collection)]
    command += ["--reporters", "cli,json", "--reporter-json-export", str(report), "--timeout", "60000", "--color", "off"]
    command += [word for name, value in variables.items() for word in ("--env-var", f"{name}={value}")]
    environment = {"PATH": os.environ["PATH"], "HOME": str(tmp_path)}
    done = subprocess.run(command, env=environment, cwd=tmp_path, capture_output=True, text=True, timeout=120)
    assert report.is_file(), done.stdout + done.stderr
    return {**json.loads(report.read_text())["run"], "status": done.returncode, "text": done.stdout}


@pytest.fixture(scope="module")
def secret(service: Service) -> str:
    return service.add_client("alice")


def test_the_collection_runs_green_against_a_live_service(service: Service, secret: str, tmp_path: Path) -> None:
    run = newman(tmp_path, COLLECTION, base_url=service.url, client_id="alice", client_secret=secret)
    assert run["failures"] == [], run["text"]
    assert run["status"] == 0, run["text"]
    assert run["stats"]["requests"] == {"total": 37, "pending": 0, "failed": 0}
    assert run["stats"]["assertions"]["total"] > 50, "the checks of the collection did not run"


def test_a_failing_check_of_the_collection_is_seen(service: Service, tmp_path: Path) -> None:
    run = newman(tmp_path, COLLECTION, base_url=service.url, client_id="alice", client_secret="not-the-secret")
    assert run["status"] != 0
    assert run["failures"]


def test_the_collection_holds_no_secret_and_asks_only_the_given_service() -> None:
    text = COLLECTION.read_text()
    variables = {one["key"]: one["value"] for one in json.loads(text)["variable"]}
    assert variables["client_secret"] == variables["access_token"] == ""
    assert text.count('"raw": "{{base_url}}/') == text.count('"host"') == 37
    assert text.count("://") == 2, "the schema's name and the default base_url"
