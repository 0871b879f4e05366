"""`python -m tests.clients.open_webui FOLDER`: Open WebUI's users by its API and in a browser, and what the records say of them.

Each of two users signs in with a browser and asks; the upstream calls one of Open WebUI's tools. Screenshots go to FOLDER.
Exits with 1 if something is missing, wrong, or not recorded for the user who asked.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx

from ..support.optional import NODE_FOLDER, chromium, node_with
from ..support.service import free_port
from .catalogue import environment
from .recipe import FRONT_END, variables
from .run import ALIAS, live_service

USERS = ("ada", "ben")
PASSWORD = "a-Long-passphrase-1"
START_SECONDS = 180
TOOL = "get_current_timestamp"
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


def ask_in_a_browser(url: str, name: str, question: str, answer: str, screenshot: Path) -> None:
    script = [node_with("playwright-core"), str(NODE_FOLDER / "open_webui.js"), chromium(), url]
    env = {"PATH": os.environ["PATH"], "HOME": str(screenshot.parent), "EMAIL": f"{name}@example.com", "PASSWORD": PASSWORD}
    done = subprocess.run([*script, str(screenshot), question, answer], env=env, capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stderr


def check_user(records: list[dict[str, Any]], user: dict[str, Any], asked: list[str]) -> None:
    """Each question of *asked*, the call of the tool and its result stand in records of this user, and of no other."""
    own = [one for one in records if one["details"].get("asserted_user", {}).get("id") == user["id"]]
    texts = [repr(one["details"]) for one in own]
    for question in asked:
        assert any(question in text for text in texts), f"not recorded: {question}"
        others = [repr(one["details"]) for one in records if one not in own]
        assert not any(question in text for text in others), f"recorded for another user: {question}"
    assert any(TOOL in text and one["action"] == "ask.answered" for text, one in zip(texts, own, strict=True)), "no call"
    assert {one["details"]["asserted_user"]["source"] for one in own} == {"x-openwebui-user-id"}


def main(shots: Path) -> None:
    with live_service() as (service, fake, folder):
        key = service.cli("clients", "add", "webui", "--front-end", "--key")["key"]
        given = variables("Open WebUI", FRONT_END, service.url, key)
        with open_webui(folder / "webui", **given) as client:
            users = sign_up(client)
            for name, user in users.items():
                answer = f"It will rain, {name}."
                fake.set(agent={"calls": [[TOOL, {}]], "says": answer})
                ask_in_a_browser(str(client.base_url), name, f"Rain for {name}?", answer, shots / f"open-webui-{name}.png")
                token = user.get("token") or _token(client, name)
                assert ask_by_api(client, token, f"By API for {name}?") == answer
                print(f"{name}: asked in a browser and by API", flush=True)
        for name, user in users.items():
            check_user(service.records(), user, [f"Rain for {name}?", f"By API for {name}?"])
        assert service.verify()["ok"]
    print("2 passed, 0 failed")


def _token(client: httpx.Client, name: str) -> str:
    form = {"email": f"{name}@example.com", "password": PASSWORD}
    return str(client.post("/api/v1/auths/signin", json=form).raise_for_status().json()["token"])


if __name__ == "__main__":
    main(Path(sys.argv[1]).resolve())
