"""The verifier as the service gives it: its policy, what it says of the server it came from, and page 3 of the console."""

from __future__ import annotations

import json
import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from ..support.browser_verifier import SINGLE_FILE
from ..support.dropped_files import write_files
from ..support.fake_openai import FakeOpenAI
from ..support.optional import NODE_FOLDER, chromium, node_with
from ..support.service import Service


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, fake: FakeOpenAI) -> Iterator[Service]:
    with Service(tmp_path_factory.mktemp("served"), OPENAI_BASE_URL=fake.base_url) as running:
        yield running


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("dropped")
    write_files(folder)
    return folder


def run(script: str, *words: str, **environment: str) -> dict[str, Any]:
    command = [node_with("axe-core"), str(NODE_FOLDER / script), chromium(), *words]
    env = {"PATH": os.environ["PATH"], "HOME": words[-1] if Path(words[-1]).is_dir() else "/tmp", **environment}
    done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    return dict(json.loads(done.stdout))


def test_the_file_is_the_one_of_the_release_under_its_own_policy(server: Service) -> None:
    page = httpx.get(server.url + "/console/verify.html")
    assert (page.status_code, page.content) == (200, SINGLE_FILE.read_bytes())
    [own] = re.findall(r'http-equiv="Content-Security-Policy" content="([^"]+)"', page.text)
    assert page.headers["content-security-policy"] == f"{own}; frame-ancestors 'none'"
    assert "connect-src 'none'" in own
    assert "unsafe" not in own


@pytest.fixture(scope="module")
def seen(server: Service, files: Path) -> dict[str, Any]:
    return run("verify_use.js", server.url + "/console/verify.html", str(files), "1440", "light")


def test_a_served_page_says_that_it_proves_nothing_against_its_server(server: Service, seen: dict[str, Any]) -> None:
    host = server.url.removeprefix("http://")
    assert f"it proves nothing against {host}" in seen["scenes"]["empty"]["origin"]
    for name, scene in seen["scenes"].items():
        is_verdict = scene["word"] in ("Genuine", "Consistent", "Broken")
        assert (f"This page came from {host}. Against that server it proves nothing." in scene["meaning"]) == is_verdict, name


def test_a_served_page_asks_for_nothing_more(server: Service, seen: dict[str, Any]) -> None:
    own = server.url + "/console/verify.html"
    assert {url for url in seen["requests"] if not url.startswith("blob:")} <= {own, server.url + "/favicon.ico"}
    assert (seen["violations"], seen["serious"]) == ([], [])
    assert seen["dialogs"] == 0


def test_a_verifier_that_fails_gives_no_verdict_and_says_so(server: Service, files: Path) -> None:
    found = run("verify_failing.js", server.url, "tester", str(files), SECRET=server.add_client("tester"))
    assert all(said.startswith("Cannot be checked\n") for said in found.values()), found
    assert "this browser computes wrongly" in found["computes wrongly"].lower()
    assert "which says nothing of what you gave: TypeError" in found["fails inside"]
    assert len(found) == 3


@pytest.mark.parametrize("width", ["360", "1440"])
def test_page_3_of_the_console_keeps_what_it_was_given_until_sign_out(server: Service, files: Path, width: str) -> None:
    name = f"viewer{width}"
    secret = server.add_client(name)
    found = run("verify_console.js", server.url, name, width, str(files), SECRET=secret)
    assert found["words"] == ["Genuine", "Nothing to check yet"]
    assert (found["complaints"], found["violations"]) == ([], [])
    assert found["widest"] <= int(width)
    assert "proves nothing against" in found["origin"]
    assert found["saves"] == server.url + "/console/verify.html"
