"""Secrets in every place that can hold one; then faults of every kind; then every output is searched for them."""

from __future__ import annotations

import base64
import json
import os
import re
import secrets as random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from itertools import islice
from pathlib import Path
from typing import Any

import httpx

from ..support.calls import FORM, bearer
from ..support.fake_openai import FakeOpenAI
from ..support.otlp_receiver import receiving
from ..support.paths import ROOT
from ..support.planted import ANSWER, PROMPT, Planted, break_the_upstream, found, send_wrong_things
from ..support.service import HTTP, Service, free_port
from ..support.waiting import eventually
from .figures import Figures
from .secret_outputs import PAGE, RECORDS, export_everything, plant_an_admin, read_everything, starts_without_a_database
from .secret_receivers import HEADERS, send_everywhere, tracing

OWN_FILES = {".env", "models.toml", "audit_log.key", "secret.txt", HEADERS}
"""Files whose purpose is to hold a secret."""
TALK = {"prompt", "chat prompt", "tool result", "answer", "tool arguments"}
"""What records hold, and nothing else."""
OFTEN = ("OPENAI_API_KEY", "SECRET_KEY", "LAB_KEY", "AWS_SECRET_ACCESS_KEY", "system prompt", "token of a collector")


def made_up(kind: str) -> str:
    return f"planted-{kind}-{random.token_hex(12)}"


class Hunt(Planted):
    """A service with all secrets planted, what it answered, and what its commands said."""

    def __init__(self, service: Service, fake: FakeOpenAI, given: dict[str, str]) -> None:
        super().__init__(service, fake)
        self.outputs: dict[str, bytes] = {}
        self.secrets = {
            **given,
            "client secret": self.secret,
            "older client secret": self.rotated,
            "newer client secret": self.new,
            "second client secret": str(service.cli("clients", "add-secret", "alice")["client_secret"]),
            "access token": self.token,
            "signature of a token": self.token.rpartition(".")[2],
            "API key": self.key,
            "secret of an API key": self.key[15:-6],
            "expired API key": self.dead,
            "revoked API key": str(service.cli("keys", "add", "alice")["key"]),
            "log key": base64_of_key(service.folder / "logs/audit_log.key"),
            "prompt": PROMPT,
            "chat prompt": made_up("chat"),
            "tool result": made_up("tool-result"),
            "answer": ANSWER,
            "tool arguments": made_up("arguments"),
            "cookie": made_up("cookie"),
            "proxy password": made_up("proxy"),
            "user's JWT": made_up("jwt"),
            "foreign key": f"sk-ant-{random.token_hex(24)}",
            "upstream's header": made_up("header"),
            "word in a URL": made_up("query"),
            "address with a password": made_up("userinfo"),
            "password of a database": made_up("database"),
            "token of a receiver": made_up("receiver"),
        }
        service.cli("keys", "revoke", self.secrets["revoked API key"][4:15])

    # --- what is done ------------------------------------------------------------------------------

    def call(self) -> None:
        """Every secret in every place of a request where it may come, rightly or by mistake."""
        url, ways = self.service.url, self.secrets
        for name, secret in ways.items():
            odd = quoted(secret)
            self.keep(HTTP.get(f"{url}/v1/models/{odd}", headers=bearer(self.token)))
            self.keep(HTTP.get(f"{url}/{odd}?key={odd}", headers={"Cookie": f"s={odd}", "Referer": f"{url}/?{odd}"}))
            self.keep(HTTP.post(f"{url}/ask", json={"query": "hi", odd: odd}, headers=bearer(self.token)))
            self.keep(HTTP.post(f"{url}/token", data={**FORM, "client_id": "alice", "client_secret": odd + "x"}))
            if name != "API key" and name != "access token":
                self.keep(HTTP.post(f"{url}/v1/messages", json={}, headers={"x-api-key": odd, "Proxy-Authorization": odd}))
        headers = {
            "Cookie": ways["cookie"],
            "Proxy-Authorization": ways["proxy password"],
            "X-OpenWebUI-User-Jwt": ways["user's JWT"],
        }
        self.ask("hi", **headers)
        self.talk()

    def talk(self) -> None:
        """A conversation with a tool, plain and as a stream."""
        ways, url = self.secrets, f"{self.service.url}/v1/chat/completions"
        call = {
            "id": "c",
            "type": "function",
            "function": {"name": "look", "arguments": json.dumps({"q": ways["tool arguments"]})},
        }
        messages = [
            {"role": "user", "content": ways["chat prompt"]},
            {"role": "assistant", "content": None, "tool_calls": [call]},
            {"role": "tool", "tool_call_id": "c", "content": ways["tool result"]},
        ]
        completion = {"choices": [{"index": 0, "message": {"role": "assistant", "content": ANSWER}, "finish_reason": "stop"}]}
        self.fake.set("ok", body=json.dumps({**completion, "model": "m"}), headers={"x-secret": ways["upstream's header"]})
        body = {"model": "small", "messages": messages}
        HTTP.post(url, json=body, headers=bearer(self.token))  # its answer holds the answer
        self.fake.set("ok", script=[ANSWER])
        HTTP.post(url, json={**body, "stream": True}, headers=bearer(self.token))
        self.fake.set("ok")

    def echo(self) -> None:
        """The upstream puts each secret into every member of an error."""
        for secret in self.secrets.values():
            plain = re.sub(r"[^a-z0-9_]", "", secret.lower())[:60] or "x"
            for word in {secret, plain, re.sub(r"[^A-Za-z0-9_.]", "", secret)[:90]}:
                error = {"message": word, "type": word, "param": word, "code": word}
                for mode in ("status:400", "status:404", "status:422"):
                    self.fake.set(mode, body=json.dumps({"error": error}))
                    body = {"model": "small", "messages": [{"role": "user", "content": "hi"}]}
                    self.keep(HTTP.post(f"{self.service.url}/v1/chat/completions", json=body, headers=bearer(self.token)))
        self.fake.set("ok")

    def faults(self) -> Iterator[str]:
        """One fault after the other, each with calls while it lasts."""
        service, logs = self.service, self.service.folder / "logs"
        yield "a worker aborted"
        self._lose_worker(signal.SIGABRT)
        yield "a worker killed"
        self._lose_worker(signal.SIGKILL)
        yield "a worker stopped"
        self._lose_worker(signal.SIGSTOP)
        for name in ("clients.sqlite3", "audit_log.jsonl", "security.log", "audit_log.key"):
            yield f"{name} gone"
            (logs / name).rename(logs / f"{name}.away")
            for _ in range(5):
                self.ask(PROMPT)
                self.keep(HTTP.post(service.url + "/token", data=FORM, auth=("alice", self.secret)))
            self.keep(HTTP.get(service.url + "/readyz"))
            (logs / f"{name}.away").rename(logs / name)
            service.wait_ready()
        yield "a disconnect in mid-stream"
        self.fake.set("ok", chunks=50, interval=0.1)
        with httpx.stream(
            "POST", service.url + "/ask", json={"query": PROMPT}, headers={**bearer(self.token), "Accept": "text/event-stream"}
        ) as one:
            next(one.iter_bytes())
        yield "a stop in mid-question"
        self.fake.set("hang")
        with httpx.Client(timeout=0.5) as client:
            with suppress(httpx.TimeoutException):
                client.post(service.url + "/ask", json={"query": PROMPT}, headers=bearer(self.token))
        service.stop()
        self.fake.set("ok")
        service.start()

    def _lose_worker(self, number: int) -> None:
        before = self.service.worker_pids()
        os.kill(before[0], number)
        eventually(lambda: before[0] not in self.service.worker_pids() and len(self.service.worker_pids()) == len(before))
        self.service.wait_ready()
        self.ask(PROMPT)

    # --- what is searched --------------------------------------------------------------------------

    def commands(self, is_short: bool) -> None:
        """Every command that shows something, and starts that fail over each secret."""
        token, key = self.token, self.key
        shown = (["clients", "list"], ["keys", "list"], ["audit", "show"], ["audit", "verify"], ["clients", "add", "alice"])
        wrong = (
            ["token", "revoke", token],
            ["keys", "revoke", key],
            ["clients", "disable", self.secret],
            ["audit", "verify", "--receipt", key],
        )
        for words in (*shown[2:3], *wrong[:1]) if is_short else (*shown, *wrong):
            for option in ([], ["--json"]):
                self._run(*words, *option)
        self._run("ask", "hi", "--url", self.service.url, env={"SECURE_AI_TOKEN": token + "x"})
        self._run("token", "get", "--client-id", "alice", "--secret-file", "secret.txt", "--url", self.service.url)
        away, password = self.secrets["address with a password"], self.secrets["password of a database"]
        starts: list[dict[str, str]] = [
            {"RATE_LIMIT": " ".join(self.secrets.values())},
            {"OPENAI_BASE_URL": f"http://u:{away}@127.0.0.1/v1"},
            {"OPENAI_BASE_URL": f"http://127.0.0.1/v1?key={away}"},
            {"DATABASE_URL": f"postgresql://u:{password}@db/x"},
            {"DATABASE_URL": f"sqlite+aiosqlite://u:{password}@/x"},
            {"SECRET_KEY": self.secrets["SECRET_KEY"][:20]},
            {"OPENAI_API_KEY": self.secrets["OPENAI_API_KEY"] + "\u00e4"},
        ]
        for env in starts[:1] if is_short else starts:
            self._run("serve", "--port", "0", env={"MODELS_FILE": "", **env})
        for start, without in () if is_short else starts_without_a_database(password):
            self._run(*start, env=without)

    def _run(self, *words: str, env: dict[str, str] | None = None) -> None:
        before, self.service.env = self.service.env, {**self.service.env, **(env or {})}
        try:
            done = self.service.run(*words, status=None)
        finally:
            self.service.env = before
        shows = "audit show" in " ".join(words)
        name = RECORDS if shows else f"command {len(self.outputs)}: {' '.join(words[:2])}"
        self.outputs[name] = self.outputs.get(name, b"") + (done.stdout + done.stderr).encode()

    def processes(self) -> None:
        """What `ps` shows, and what another user may read of /proc."""
        assert self.service.process is not None
        pids = [self.service.process.pid, *self.service.worker_pids(), self.service.notary_pid()]
        for pid in pids:
            self.outputs[f"command line of {pid}"] = Path(f"/proc/{pid}/cmdline").read_bytes()
            if os.geteuid() == 0:
                look = ["setpriv", "--reuid=65534", "--clear-groups", "cat", f"/proc/{pid}/environ", f"/proc/{pid}/mem"]
                self.outputs[f"environment of {pid}"] = subprocess.run(look, capture_output=True, check=False).stdout

    def leaks(self) -> list[str]:
        """Where a secret is that must not be there: `secret: place`."""
        places = {name: data for name, data in self.files().items() if name not in OWN_FILES} | self.outputs
        for number, response in enumerate(self.said):
            head = "\n".join(f"{name}: {value}" for name, value in response.headers.items())
            places[f"answer {number} to {response.request.method} {response.request.url.path[:40]}"] = (
                head.encode() + response.content
            )
        leaks = [f"core file {name}" for name in self.files() if name.startswith("core")]
        for name, secret in self.secrets.items():
            allowed = ("audit_log.jsonl", RECORDS) if name in TALK else ()
            leaks += [f"{name}: {place}" for place in found(secret, places) if not place.startswith(allowed)]
        return leaks + self._misplaced() + self._paths_of_the_host(places)

    def _paths_of_the_host(self, places: dict[str, bytes]) -> list[str]:
        """Answers to a caller that say where on this host something is."""
        answers = {name: data for name, data in places.items() if name.startswith(("answer ", PAGE))}
        paths = (str(self.service.folder), str(ROOT), sys.prefix)
        return [f"{path}: {place}" for path in paths for place in found(path, answers)]

    def _misplaced(self) -> list[str]:
        """Records other than those of a question that hold what was said."""
        lines = self.service.log.read_bytes().splitlines()
        others = {f"record {n}": line for n, line in enumerate(lines) if b'"action":"ask.' not in line}
        return [f"{name}: {place}" for name in TALK for place in found(self.secrets[name], others)]


def base64_of_key(path: Path) -> str:
    """The longest word of the file of the log key: the seed of the signature."""
    words: list[str] = re.findall(r"[A-Za-z0-9+/=]{20,}", path.read_text())
    return max(words, key=len)


def quoted(secret: str) -> str:
    """As a header or URL can carry it."""
    return (
        secret
        if re.fullmatch(r"[\x21-\x7e]+", secret) and not set(secret) & set('?#%/\\"')
        else base64.urlsafe_b64encode(secret.encode()).decode()
    )


def hunt(folder: Path, *, workers: int, is_short: bool = False) -> Figures:
    """Plant, call, break, search. *is_short*: with fewer faults and commands."""
    started = time.monotonic()
    given = {name: made_up(name.lower().replace("_", "-").replace(" ", "-")) for name in OFTEN}
    env: dict[str, Any] = {name: given[name] for name in OFTEN if name.isupper()}
    env |= {
        "SYSTEM_PROMPT": given["system prompt"],
        "MODELS_FILE": "models.toml",
        "LLM_TIMEOUT_SECONDS": "1",
        "LLM_MODEL": "small",
        "METRICS_PORT": str(free_port()),
        "LOG_FORMAT": "json",
    }
    with FakeOpenAI() as fake, receiving() as spans:
        env |= tracing(spans, given["token of a collector"])
        folder.mkdir(parents=True, exist_ok=True)
        server = f'[servers.lab]\nbase_url = "{fake.base_url}"\napi_key_env = "LAB_KEY"\n[models.small]\nserver = "lab"\n'
        (folder / "models.toml").write_text(server)
        with Service(folder, workers=workers, **env) as service:
            one = Hunt(service, fake, given)
            (folder / "secret.txt").write_text(one.secret)
            (folder / "secret.txt").chmod(0o600)
            send_wrong_things(one)
            admin = plant_an_admin(one)
            one.call()
            read_everything(one, admin)
            one.echo()
            break_the_upstream(one)
            faults = list(islice(one.faults(), 1)) if is_short else list(one.faults())
            export_everything(one)
            send_everywhere(one, RECORDS, spans)
            one.commands(is_short)
            one.processes()
            leaks = one.leaks()
            assert not leaks, f"{len(leaks)} leaks: {leaks[:20]}"
            assert service.verify()["ok"]
            outputs = len(one.outputs) + len(one.said) + len(one.files())
            remarks = [f"{len(one.secrets)} secrets", f"{len(faults)} faults", f"{outputs:,} outputs", "0 leaks (wanted 0)"]
            return Figures(len(one.said), len(service.records()), time.monotonic() - started, remarks=remarks)
