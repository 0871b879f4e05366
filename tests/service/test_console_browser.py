"""The console in a real browser: every page, as each role, wide and narrow, dark and light, by keyboard, with hostile texts."""

from __future__ import annotations

import json
import os
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from ..support.console_service import ConsoleService, console_service
from ..support.fake_openai import FakeOpenAI
from ..support.optional import NODE_FOLDER, chromium, node_with
from ..support.paths import SUPPORT
from ..support.service import HTTP

SCRIPT = '<img src=x onerror="globalThis.pwned = 1">'
NAUGHTY = [text for text in json.loads((SUPPORT / "corpora/strings/blns.json").read_text()) if text.strip()]


def plant(console: ConsoleService) -> None:
    """Every naughty string as a question, a model and a path; some as what only an admin writes."""
    token = console.service.token("olga", console.secrets["olga"])
    headers = {"Authorization": f"Bearer {token}"}

    def ask(text: str) -> None:
        HTTP.post(console.url + "/ask", json={"query": text[:2000]}, headers=headers)

    with ThreadPoolExecutor(8) as threads:
        list(threads.map(ask, [*NAUGHTY, SCRIPT]))
    for text in (SCRIPT, "\u202eright to left", "x" * 200, "Z͑ͫ̓ͪ̂ͫ̽͏̴̙̤̞͉͚̯̞̠͍A̴̵̜̰͔ͫ͗͢L̠ͨͧͩ͘G̴̻͈͍͔̹̑͗̎̅͛́Ǫ̵̹̻̝̳"):
        body = {"model": text, "messages": [{"role": "user", "content": text}]}
        HTTP.post(console.url + "/v1/chat/completions", json=body, headers=headers)
    HTTP.post(console.url + "/admin/keys", json={"client_id": "bob", "name": SCRIPT}, headers=headers)


@pytest.fixture(scope="module")
def seen(tmp_path_factory: pytest.TempPathFactory, fake: FakeOpenAI) -> dict[str, Any]:
    node, browser = node_with("playwright-core"), chromium()
    node_with("axe-core")
    folder: Path = tmp_path_factory.mktemp("console")
    with console_service(folder / "service", fake.base_url, days=3, a_day=10, RATE_LIMIT="10000000") as console:
        plant(console)
        environment = {"PATH": os.environ["PATH"], "HOME": str(folder), "SECRETS": json.dumps(console.secrets)}
        command = [node, str(NODE_FOLDER / "console.js"), browser, console.url]
        done = subprocess.run(command, env=environment, cwd=folder, capture_output=True, text=True, timeout=900)
    assert done.returncode == 0, done.stderr
    return dict(json.loads(done.stdout))


def test_axe_finds_nothing_serious_on_any_page(seen: dict[str, Any]) -> None:
    assert seen["axe"] == {}


def test_nothing_stands_out_of_the_page_at_360_and_1440_pixels(seen: dict[str, Any]) -> None:
    assert seen["wide"] == []


def test_the_browser_complains_of_nothing_and_asks_no_other_host(seen: dict[str, Any]) -> None:
    assert (seen["complaints"], seen["violations"], seen["requests"]) == ([], [], [])


def test_each_role_sees_its_pages_and_no_others(seen: dict[str, Any]) -> None:
    assert seen["pages"] == {
        "alice": ["playground", "records", "verify", "usage"],
        "carol": ["records", "verify", "usage", "audit"],
        "adam": ["records", "verify", "usage", "operations"],
    }


def test_all_is_done_by_keyboard_from_the_question_to_the_receipt(seen: dict[str, Any]) -> None:
    seq, _, digest = seen["receipt"].partition(":")
    assert (seq.isdecimal(), len(digest), seen["dialogLeft"]) == (True, 64, True)
    assert seen["verified"] == "Consistent", "without a key nothing is genuine"


def test_no_text_of_a_record_runs_or_becomes_an_element(seen: dict[str, Any]) -> None:
    assert seen["texts"] > len(NAUGHTY)
    assert (seen["elements"], seen["pwned"], seen["keyShown"], seen["problem"]) == (0, None, 1, True)


def test_a_secret_is_shown_once(seen: dict[str, Any]) -> None:
    assert (seen["secretLength"], seen["secretStays"]) == (43, False)
    assert "3 to 32 characters" in seen["refusal"]


def test_who_signed_in_is_forgotten_at_sign_out_reload_and_idleness(seen: dict[str, Any]) -> None:
    assert (seen["staysWhileUsed"], seen["leftOnPage"], seen["afterReload"]) == (True, 0, True)
    cookie, local, session = seen["stored"]
    assert (cookie, local) == ("", [])
    assert set(session) <= {"htmx-current-path-for-history"}, "the path /console"


def test_no_address_signs_anybody_in(seen: dict[str, Any]) -> None:
    assert not seen["fixated"]


def test_no_other_page_may_frame_the_console(seen: dict[str, Any]) -> None:
    assert seen["framed"] == 0


def test_what_cannot_be_shown_says_so_and_is_tried_again(seen: dict[str, Any]) -> None:
    assert seen["broken"] == "The service cannot be reached"
