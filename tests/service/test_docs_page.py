"""/docs in a real browser: authorise, ask, read the answer; no other host, no violation of the page's policy."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import httpx
import pytest

from ..support.fake_openai import FakeOpenAI, completion_text
from ..support.optional import NODE_FOLDER, chromium, node_with
from ..support.prefix_proxy import stripping
from ..support.service import Service


def use_docs(folder: Path, url: str, client_id: str, client_secret: str) -> dict[str, Any]:
    """The output of tests/support/node/docs_page.js, which saves docs-authorised.png and docs-answered.png in *folder*."""
    command = [node_with("playwright-core"), str(NODE_FOLDER / "docs_page.js"), chromium(), url, str(folder / "docs")]
    environment = {"PATH": os.environ["PATH"], "HOME": str(folder), "CLIENT_ID": client_id, "CLIENT_SECRET": client_secret}
    done = subprocess.run(command, env=environment, cwd=folder, capture_output=True, text=True, timeout=180)
    assert done.returncode == 0, done.stderr
    return dict(json.loads(done.stdout))


@pytest.fixture(scope="module")
def seen(service: Service, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    return use_docs(tmp_path_factory.mktemp("docs"), service.url, "browser", service.add_client("browser"))


def test_the_page_shows_every_operation(seen: dict[str, Any]) -> None:
    assert {"/token", "/ask", "/livez", "/readyz"} <= set(seen["operations"])
    assert seen["title"] == "Secure AI Assistant"


def test_the_authorize_button_fetches_a_token(seen: dict[str, Any]) -> None:
    assert seen["authorised"] == "Authorized"


def test_ask_can_be_tried_out(seen: dict[str, Any]) -> None:
    assert seen["status"] == "200"
    assert completion_text("What is the capital of France?") in seen["body"]


def test_the_browser_complains_of_nothing(seen: dict[str, Any]) -> None:
    assert seen["violations"] == []
    assert seen["complaints"] == []
    assert set(seen["statuses"]) == {200}


def test_all_of_it_works_behind_a_proxy_that_strips_a_prefix(service: Service, tmp_path: Path) -> None:
    with stripping("/tools/ai", service.url) as url:
        seen = use_docs(tmp_path, url, "prefixed", service.add_client("prefixed"))
    assert (seen["authorised"], seen["status"]) == ("Authorized", "200")
    assert completion_text("What is the capital of France?") in seen["body"]
    assert [one for one in seen["requests"] if not one.startswith((url + "/", "data:", "blob:"))] == []


def test_the_description_names_its_own_folder_as_the_server(service: Service) -> None:
    first, second = (httpx.get(service.url + "/openapi.json", headers={"x-forwarded-prefix": "/ai"}) for _ in range(2))
    assert first.json()["servers"] == [{"url": "."}]
    assert first.content == second.content


def test_no_other_host_is_asked_for_anything(seen: dict[str, Any], service: Service) -> None:
    elsewhere = [url for url in seen["requests"] if not url.startswith((service.url + "/", "data:", "blob:"))]
    assert elsewhere == []


def test_the_root_leads_to_the_console_behind_a_prefix_too(service: Service) -> None:
    before = len(service.records())
    for method in ("GET", "HEAD"):
        answer = httpx.request(method, service.url + "/")
        assert (answer.status_code, answer.headers["location"]) == (307, "console")
        page = httpx.request(method, service.url + "/", follow_redirects=True)  # Claude Code sends a HEAD as it starts
        assert (page.url.path, page.status_code) == ("/console", 200)
    assert len(service.records()) == before, "as a probe: nobody asked anything"


def test_the_page_is_served_under_a_policy_that_runs_only_our_scripts(service: Service) -> None:
    page = httpx.get(service.url + "/docs")
    policy = page.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "script-src 'self';" in policy
    assert "unsafe" not in policy
    assert "<script>" not in page.text
    assert "//" not in page.text.replace("<!doctype html>", "")


def test_a_refusal_is_documented_as_the_media_type_that_is_sent(service: Service, token: str) -> None:
    documented = httpx.get(service.url + "/openapi.json").json()["paths"]["/ask"]["post"]["responses"]
    assert service.ask(token, "").headers["content-type"] in documented["422"]["content"]
    assert {status for status, one in documented.items() if list(one["content"]) != ["application/problem+json"]} == {"200"}


def test_docs_can_be_switched_off(fake: FakeOpenAI, tmp_path: Path) -> None:
    with Service(tmp_path, OPENAI_BASE_URL=fake.base_url, DOCS_ENABLED="false", CONSOLE_ENABLED="false") as closed:
        for path in (
            "/",
            "/console",
            "/console/static/css/base.css",
            "/admin/status",
            "/audit/search",
            "/usage",
            "/docs",
            "/docs/start.js",
            "/docs/assets/swagger-ui.css",
            "/openapi.json",
        ):
            assert httpx.get(closed.url + path).status_code == 404, path
