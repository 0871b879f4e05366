"""The console in a real browser: every page, as each role, wide and narrow, dark and light, by keyboard, with hostile texts."""

from __future__ import annotations

import json
import os
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from ..support.console_service import ConsoleService, console_service
from ..support.fake_openai import FakeOpenAI
from ..support.optional import NODE_FOLDER, chromium, node_with
from ..support.paths import SUPPORT
from ..support.service import HTTP

SCRIPT = '<img src=x onerror="globalThis.pwned = 1">'
LONG = "x" * 200
BIDI = "bidi \u202eright to left\u2066 and \u200bzero\u200d width\ufeff"
ZALGO = "Z͑ͫ̓ͪ̂ͫ̽͏̴̙̤̞͉͚̯̞̠͍A̴̵̜̰͔ͫ͗͢L̠ͨͧͩ͘G̴̻͈͍͔̹̑͗̎̅͛́Ǫ̵̹̻̝̳"
HOSTILE = (SCRIPT, BIDI, LONG, ZALGO)
MODELS = ("<svg/onload=alert(1)>onerror", "m" * 64)
SERVER = "<img/src=x/onerror=alert(1)>" + "s" * 170
"""Names of the policy that would like to be scripts, or are long. Those of budgets are made of roles and clients."""
NAUGHTY = [text for text in json.loads((SUPPORT / "corpora/strings/blns.json").read_text()) if text.strip()]


def plant(console: ConsoleService, fake: FakeOpenAI) -> None:
    """Every naughty string as a question; hostile ones in each place where a stranger or an admin can put them."""
    bearer = {"Authorization": f"Bearer {console.service.token('olga', console.secrets['olga'])}"}
    url = console.url

    def ask(text: str) -> None:
        HTTP.post(url + "/ask", json={"query": text[:2000]}, headers=bearer)

    with ThreadPoolExecutor(8) as threads:
        list(threads.map(ask, [*NAUGHTY, *HOSTILE]))
    for text in (*HOSTILE, *MODELS):
        body = {"model": text, "messages": [{"role": "system", "content": text}, {"role": "user", "content": text}]}
        named = {
            "x-request-id": ascii(text),
            "user-agent": ascii(text),
            "traceparent": ascii(text),
            "x-client-request-id": ascii(text),
        }
        HTTP.post(url + "/v1/chat/completions", json=body, headers=bearer | named)
        HTTP.get(f"{url}/{quote(text)}", headers=named)
        HTTP.post(url + "/token", data={"grant_type": "client_credentials", "client_id": text, "client_secret": text})
    HTTP.post(url + "/admin/keys", json={"client_id": "bob", "name": SCRIPT}, headers=bearer)
    HTTP.post(
        url + "/admin/clients", json={"client_id": "w" * 32, "roles": ["a" * 60], "allow_unknown_role": True}, headers=bearer
    )
    for text in HOSTILE:
        message = {"role": "assistant", "content": text}
        answer = {"model": text, "choices": [{"index": 0, "finish_reason": text, "message": message}], "object": text, "id": text}
        fake.set(body=json.dumps(answer))
        ask("What does a hostile server answer?")
        fake.set("status:500", body=json.dumps({"error": {"message": text, "code": text, "type": text}}))
        ask("What does a hostile server refuse?")
    fake.reset()


@pytest.fixture(scope="module")
def seen(tmp_path_factory: pytest.TempPathFactory, fake: FakeOpenAI) -> dict[str, Any]:
    node, browser = node_with("playwright-core"), chromium()
    node_with("axe-core")
    folder: Path = tmp_path_factory.mktemp("console")
    with console_service(
        folder / "service", fake.base_url, days=3, a_day=20, models=MODELS, server=SERVER, RATE_LIMIT="10000000"
    ) as console:
        plant(console, fake)
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
        "nadia": ["records", "verify", "usage"],
    }


def test_tab_reaches_all_of_every_page_and_shows_where_it_is(seen: dict[str, Any]) -> None:
    assert len(seen["tabs"]) == 7
    assert {page: missed for page, missed in seen["tabs"].items() if missed} == {}


def test_all_is_done_by_keyboard_and_the_focus_comes_back_from_dialogs(seen: dict[str, Any]) -> None:
    seq, _, digest = seen["receipt"].partition(":")
    assert (seq.isdecimal(), len(digest), seen["dialogLeft"]) == (True, 64, True)
    assert seen["verified"] == "Consistent", "without a key nothing is genuine"
    assert seen["savedByKeys"] == "records.csv"


def test_no_text_of_a_record_or_policy_runs_or_becomes_an_element(seen: dict[str, Any]) -> None:
    assert seen["texts"] > len(NAUGHTY)
    assert (seen["elements"], seen["pwned"], seen["problem"]) == (0, None, True)
    assert seen["keyShown"]
    assert seen["modelShown"]
    assert seen["serverShown"] >= 2, "beside its breaker, and in the policy"


def test_another_site_does_nothing_in_the_name_of_who_signed_in(seen: dict[str, Any]) -> None:
    assert seen["crossSite"] == [], "no answer may be read"
    assert seen["stillSignedIn"]
    assert ["stolen", False] not in seen["clientsAfter"]
    assert ["bob", False] in seen["clientsAfter"]


def test_an_export_has_what_the_filter_finds(seen: dict[str, Any]) -> None:
    assert seen["exportOf"] == "What the filter finds: action ask.received."
    assert set(seen["exported"]) == {"ask.received"}
    assert len(seen["exported"]) > len(NAUGHTY)


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
