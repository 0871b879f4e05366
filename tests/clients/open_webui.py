"""`python -m tests.clients.open_webui [FOLDER]`: two users of Open WebUI ask, by its API and in a browser.

Exits with 1 unless the records of the service behind it tell them apart. FOLDER gets the screenshots: look at them.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx

from ..support.fake_openai import FakeOpenAI
from ..support.paths import ROOT, SUPPORT
from ..support.service import Service, free_port

OPEN_WEBUI = ROOT / ".venv-clients-open-webui" / "bin" / "open-webui"
BROWSER = shutil.which("chromium") or shutil.which("google-chrome")
SCRIPT = SUPPORT / "node" / "open_webui.js"
PASSWORD = "a password of the test"
USERS = {"ann": "Ann Ü", "ben": "Ben"}
SECONDS = 240
QUIET = {
    "ENABLE_OLLAMA_API": "false",
    "OFFLINE_MODE": "true",
    "HF_HUB_OFFLINE": "1",
    "ANONYMIZED_TELEMETRY": "false",
    "RAG_EMBEDDING_ENGINE": "openai",
    "BYPASS_MODEL_ACCESS_CONTROL": "true",
}
"""No model of its own, and nothing from elsewhere."""


@contextmanager
def open_webui(folder: Path, base_url: str, key: str) -> Iterator[httpx.Client]:
    """A running Open WebUI that forwards its users, and a client of its API."""
    (folder / "data").mkdir(parents=True)
    url = f"http://127.0.0.1:{free_port()}"
    own = {"DATA_DIR": str(folder / "data"), "WEBUI_SECRET_KEY": "x" * 40, "ENABLE_FORWARD_USER_INFO_HEADERS": "true"}
    own |= {"PATH": os.environ["PATH"], "HOME": str(folder), "OPENAI_API_BASE_URL": base_url, "OPENAI_API_KEY": key, **QUIET}
    command = [str(OPEN_WEBUI), "serve", "--host", "127.0.0.1", "--port", url.rpartition(":")[2]]
    with (folder / "open-webui.log").open("wb") as log, httpx.Client(base_url=url, timeout=60) as client:
        process = subprocess.Popen(command, cwd=folder, env=own, stdout=log, stderr=log)
        try:
            wait_for(client, process, folder / "open-webui.log")
            yield client
        finally:
            process.terminate()
            process.wait(60)


def wait_for(client: httpx.Client, process: subprocess.Popen[bytes], log: Path) -> None:
    end = time.monotonic() + SECONDS
    while time.monotonic() < end and process.poll() is None:
        try:
            if client.get("/health").is_success:
                return
        except httpx.HTTPError:
            pass
        time.sleep(0.2)
    raise AssertionError(f"Open WebUI did not start:\n{log.read_text(errors='replace')[-3000:]}")


def sign_up(client: httpx.Client) -> dict[str, tuple[str, str]]:
    """The id and the token of each user. The first is the administrator, who adds the other."""
    found: dict[str, tuple[str, str]] = {}
    for name, shown in USERS.items():
        person = {"name": shown, "email": f"{name}@example.com", "password": PASSWORD}
        way = "add" if found else "signup"
        headers = {"Authorization": f"Bearer {found['ann'][1]}"} if found else {}
        answer = client.post(f"/api/v1/auths/{way}", json=person | {"role": "user"} if found else person, headers=headers)
        answer.raise_for_status()
        found[name] = answer.json()["id"], answer.json()["token"]
    return found


def ask(client: httpx.Client, token: str, name: str) -> None:
    body = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": f"{name} by API"}]}
    client.post("/api/chat/completions", json=body, headers={"Authorization": f"Bearer {token}"}).raise_for_status()


def ask_in_browser(client: httpx.Client, name: str, folder: Path) -> None:
    screenshot = folder / f"open-webui-{name}.png"
    command = ["node", str(SCRIPT), str(BROWSER), str(client.base_url).rstrip("/"), f"{name}@example.com", f"{name} in a browser"]
    environment = {"PATH": os.environ["PATH"], "HOME": str(folder), "PASSWORD": PASSWORD}
    subprocess.run([*command, str(screenshot)], env=environment, cwd=folder, check=True, timeout=SECONDS)
    print(f"look at {screenshot}")


def check(service: Service, ids: dict[str, str], is_in_browser: bool) -> None:
    """Each user's questions, and nobody else's, are found under their id; the client alone is proven."""
    for name, user_id in ids.items():
        records = service.cli("audit", "show", "--asserted-user", user_id)
        asked = [str(one["details"]["messages"]) for one in records if one["action"] == "ask.received"]
        ways = ["by API", "in a browser"] if is_in_browser else ["by API"]
        assert all(any(f"{name} {way}" in text for text in asked) for way in ways), f"questions of {name} are missing: {asked}"
        assert not any(f"{other} " in text for text in asked for other in ids if other != name), asked
        assert {one["user_id"] for one in records} == {"webui"}
        assert all(one["details"]["asserted_user"] == {"id": user_id, "source": "x-openwebui-user-id"} for one in records)
        print(f"{name}: {len(asked)} questions, {len(records)} records")
    assert b"@example.com" not in service.log.read_bytes()


def main(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    is_in_browser = bool(BROWSER and shutil.which("node") and (SCRIPT.parent / "node_modules" / "playwright-core").is_dir())
    if not is_in_browser:
        print("LEFT OUT: the browser; it needs chromium, node, and npm ci --prefix tests/support/node")
    with tempfile.TemporaryDirectory() as place, FakeOpenAI() as fake:
        with Service(
            Path(place) / "service", OPENAI_BASE_URL=fake.base_url, OPENAI_API_KEY="sk-planted-key-0123456789"
        ) as service:
            key = service.cli("clients", "add", "webui", "--front-end", "--key")["key"]
            with open_webui(Path(place) / "open-webui", service.url + "/v1", key) as client:
                users = sign_up(client)
                for name, (_, token) in users.items():
                    ask(client, token, name)
                    if is_in_browser:
                        ask_in_browser(client, name, folder)
            check(service, {name: user_id for name, (user_id, _) in users.items()}, is_in_browser)


if __name__ == "__main__":
    if not OPEN_WEBUI.exists():
        sys.exit("Open WebUI is not installed: make clients-open-webui installs it (500 MB) and runs this.")
    main(Path(sys.argv[1] if len(sys.argv) > 1 else ".cache/open-webui").absolute())
