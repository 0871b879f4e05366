"""`python -m tests.clients.open_webui FOLDER`: Open WebUI's users by its API and in a browser, and what the records say of them.

Each of two users signs in with a browser and asks; the upstream calls one of Open WebUI's tools. Between the two the service
restarts; while the second one's chat is open, the key is revoked. Screenshots go to FOLDER.
Exits with 1 if something is missing, wrong, or not recorded for the user who asked.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx

from app.security.api_keys.form import KeyRefused

from ..support.optional import NODE_FOLDER, chromium, node_with
from ..support.service import free_port
from .agent import calls_in
from .catalogue import environment
from .mid_run import restart, revoke
from .recipe import FRONT_END, variables
from .run import ALIAS, live_service

USERS = ("ada", "ben")
PASSWORD = "a-Long-passphrase-1"
START_SECONDS = 180
TOOL, RESULT = "get_current_timestamp", "current_iso"
OFFLINE = {"OFFLINE_MODE": "true", "HF_HUB_OFFLINE": "1", "ENABLE_OLLAMA_API": "false", "RAG_EMBEDDING_ENGINE": "openai"}
OFFLINE |= {"SCARF_NO_ANALYTICS": "true", "DO_NOT_TRACK": "true", "ANONYMIZED_TELEMETRY": "false"}
OFFLINE |= {"WEBUI_SECRET_KEY": "not-a-secret-of-anybody"}


@contextmanager
def open_webui(folder: Path, **env: str) -> Iterator[httpx.Client]:
    """Open WebUI as it is installed, with these settings."""
    port, data = free_port(), folder / "data"
    data.mkdir(parents=True)
    command = [str(environment("open_webui").with_name("open-webui")), "serve", "--host", "127.0.0.1", "--port", str(port)]
    own = {"PATH": os.environ["PATH"], "HOME": str(folder), "DATA_DIR": str(data), **OFFLINE, **env}
    with (folder / "log").open("wb") as log, httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=60) as client:
        process = subprocess.Popen(command, cwd=folder, env=own, stdout=log, stderr=log)
        try:
            end = time.monotonic() + START_SECONDS
            while not _answers(client):
                if process.poll() is not None or time.monotonic() > end:
                    raise AssertionError((folder / "log").read_text()[-3000:])
                time.sleep(0.5)
            yield client
        finally:
            process.terminate()
            process.wait(30)


def _answers(client: httpx.Client) -> bool:
    try:
        return client.get("/health").status_code == 200
    except httpx.HTTPError:
        return False


def sign_up(client: httpx.Client) -> dict[str, dict[str, Any]]:
    """The users by name, each with its `id` and `token`; the first is the administrator, who adds the others."""
    forms = [{"name": name, "email": f"{name}@example.com", "password": PASSWORD} for name in USERS]
    first = client.post("/api/v1/auths/signup", json=forms[0]).raise_for_status().json()
    admin = {"Authorization": f"Bearer {first['token']}"}
    added = [
        client.post("/api/v1/auths/add", json={**one, "role": "user"}, headers=admin).raise_for_status() for one in forms[1:]
    ]
    return dict(zip(USERS, [first, *(one.json() for one in added)], strict=True))


def ask_by_api(client: httpx.Client, token: str, question: str) -> str:
    asked = {"model": ALIAS, "messages": [{"role": "user", "content": question}]}
    answer = client.post("/api/chat/completions", json=asked, headers={"Authorization": f"Bearer {token}"}).raise_for_status()
    return str(answer.json()["choices"][0]["message"]["content"])


@contextmanager
def browser(url: str, name: str, screenshot: Path, *chat: str) -> Iterator[Callable[[], str]]:
    """A user's browser: each call asks the next of *chat*, where its expected answer follows, and returns what is shown."""
    command = [node_with("playwright-core"), str(NODE_FOLDER / "open_webui.js"), chromium(), url, str(screenshot), *chat]
    env = {"PATH": os.environ["PATH"], "HOME": str(screenshot.parent), "EMAIL": f"{name}@example.com", "PASSWORD": PASSWORD}
    pipe = subprocess.PIPE
    with subprocess.Popen(command, env=env, stdin=pipe, stdout=pipe, stderr=pipe, text=True) as process:
        asked, shown, failed = process.stdin, process.stdout, process.stderr
        assert asked is not None
        assert shown is not None
        assert failed is not None

        def ask() -> str:
            print(file=asked, flush=True)
            return shown.readline() or failed.read()

        yield ask


def check_user(records: list[dict[str, Any]], user: dict[str, Any], asked: list[str], answer: str) -> None:
    """Each question of *asked*, the tool's call and result and the *answer* stand in records of this user, and of no other."""
    own = [one for one in records if one["details"].get("asserted_user", {}).get("id") == user["id"]]
    received = [repr(one["details"]["messages"]) for one in own if one["action"] == "ask.received"]
    answers = [one["details"]["answer"] for one in own if one["action"] == "ask.answered"]
    for question in asked:
        assert any(question in text for text in received), f"not recorded: {question}"
        others = [repr(one["details"]) for one in records if one not in own]
        assert not any(question in text for text in others), f"recorded for another user: {question}"
    assert (TOOL, {}) in calls_in(answers), "no call"
    assert any(RESULT in text for text in received), "no result"
    assert answers.count(answer) >= len(asked), "no answer"
    assert {one["details"]["asserted_user"]["source"] for one in own} == {"x-openwebui-user-id"}


def main(shots: Path) -> None:
    with live_service() as (service, fake, folder):
        key = service.cli("clients", "add", "webui", "--front-end", "--key")
        given = variables("Open WebUI", FRONT_END, service.url, key["key"])
        with open_webui(folder / "webui", **given) as client:
            users = sign_up(client)
            for name, user in users.items():
                by_browser, by_api = f"Rain for {name}?", f"By API for {name}?"
                answer = f"It will rain, {name}."
                fake.reset()
                fake.set(agent={"calls": [[TOOL, {}]], "says": answer})
                chat = [by_browser, answer, "And tomorrow?", KeyRefused.detail]
                with browser(str(client.base_url), name, shots / f"open-webui-{name}.png", *chat) as ask:
                    assert answer in ask()
                    assert ask_by_api(client, user.get("token") or _token(client, name), by_api) == answer
                    assert fake.streams()["finished"], "no stream"
                    check_user(service.records(), user, [by_browser, by_api], answer)
                    print(f"{name}: asked in a browser and by API", flush=True)
                    if name != USERS[-1]:
                        restart(service)
                        continue
                    revoke(service, key)
                    assert KeyRefused.detail in ask()
                    print(f"{name}: reads in the browser that the key was revoked", flush=True)
        assert service.verify()["ok"]
    print("2 passed, 0 failed")


def _token(client: httpx.Client, name: str) -> str:
    form = {"email": f"{name}@example.com", "password": PASSWORD}
    return str(client.post("/api/v1/auths/signin", json=form).raise_for_status().json()["token"])


if __name__ == "__main__":
    main(Path(sys.argv[1]).resolve())
