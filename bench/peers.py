"""The servers that are compared, each with one worker, each asked the same question of the same fake upstream."""

from __future__ import annotations

import http.client
import json
import os
import secrets
import statistics
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from app.settings import Settings

from .process import ROOT, Process, ServerFailed, clean_environment, free_port, running

MODEL = "gpt-4o-mini"
STARTS = 3


@dataclass(frozen=True)
class Peer:
    """A server that is up, and how it is asked."""

    name: str
    process: Process
    port: int
    path: str
    bearer: str
    chat: dict[str, object] | None
    ready_seconds: float
    """From start to the first 200 of its readiness address; the median where it was started more than once."""


@dataclass(frozen=True)
class Upstream:
    """The fast fake of the OpenAI protocol that all of them ask."""

    port: int

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/v1"

    def calls(self) -> int:
        """How many completions were asked of it so far."""
        _, document = _exchange(self.port, "GET", "/control/calls")
        return int(document["calls"])


@contextmanager
def open_upstream(folder: Path) -> Iterator[Upstream]:
    port = free_port()
    command = [sys.executable, "-m", "tests.fake_openai", "--port", str(port)]
    with running(Process("fake upstream", command, cwd=ROOT, env={}, log=folder / "upstream.log")) as process:
        process.wait_until_ready(port, "/control/calls", 20)
        yield Upstream(port)


@contextmanager
def open_service(folder: Path, upstream: Upstream) -> Iterator[Peer]:
    """(a) This service: every question authenticated, limited and recorded twice, durably, in *folder*."""
    env = {
        "SECRET_KEY": secrets.token_urlsafe(32),
        "OPENAI_API_KEY": "sk-bench",
        "OPENAI_BASE_URL": upstream.url,
        "LLM_MODEL": MODEL,
        "RATE_LIMIT": "10000000",
    }
    _app(folder, env, "init")
    client = json.loads(_app(folder, env, "clients", "add", "bench", "--role", "ai.playground.user", "--json"))
    port = free_port()
    command = [sys.executable, "-m", "app", "serve", "--port", str(port), "--workers", "1"]
    starts = []
    for left in reversed(range(STARTS)):
        with running(Process("this service", command, cwd=folder, env=env, log=folder / "service.log")) as process:
            starts.append(process.wait_until_ready(port, "/readyz", 60))
            if left == 0:
                token = _token(port, client["client_id"], client["client_secret"])
                yield Peer("service", process, port, "/ask", token, None, statistics.median(starts))


@contextmanager
def open_starlette(folder: Path, upstream: Upstream) -> Iterator[Peer]:
    """(b) `forwarder.py`: what Starlette and aiohttp alone cost."""
    port = free_port()
    command = [sys.executable, "-m", "bench.forwarder", str(port), upstream.url]
    with running(Process("Starlette", command, cwd=ROOT, env={}, log=folder / "starlette.log")) as process:
        ready = process.wait_until_ready(port, "/readyz", 30)
        yield Peer("starlette", process, port, "/v1/chat/completions", "none", _chat(), ready)


@contextmanager
def open_litellm(folder: Path, upstream: Upstream) -> Iterator[Peer]:
    """(c) LiteLLM's proxy with a master key and no database, set up for production as its manual says."""
    port, key = free_port(), f"sk-{secrets.token_hex(16)}"
    backend = {"model": f"openai/{MODEL}", "api_base": upstream.url, "api_key": "sk-bench"}
    config = {
        "model_list": [{"model_name": MODEL, "litellm_params": backend}],
        "general_settings": {"master_key": key},
        "litellm_settings": {"telemetry": False},
    }
    (folder / "litellm.yaml").write_text(json.dumps(config))  # JSON is YAML
    env = {"LITELLM_LOCAL_MODEL_COST_MAP": "True", "LITELLM_MODE": "PRODUCTION", "LITELLM_LOG": "ERROR"}
    command = [str(litellm_executable()), "--config", str(folder / "litellm.yaml"), "--host", "127.0.0.1"]
    command += ["--port", str(port), "--num_workers", "1"]
    with running(Process("LiteLLM", command, cwd=folder, env=env, log=folder / "litellm.log")) as process:
        ready = process.wait_until_ready(port, "/health/readiness", 120)
        yield Peer("litellm", process, port, "/v1/chat/completions", key, _chat(), ready)


OPENERS = {"service": open_service, "starlette": open_starlette, "litellm": open_litellm}


def litellm_executable() -> Path:
    """Named by LITELLM, else where `make bench-peers` puts it. It may not be there."""
    return Path(os.environ.get("LITELLM") or ROOT / ".venv-litellm/bin/litellm").absolute()


def _chat() -> dict[str, object]:
    """What the service asks of its upstream, so that the peers forward the same."""
    defaults = {name: field.default for name, field in Settings.model_fields.items()}
    return {
        "model": MODEL,
        "messages": [{"role": "system", "content": defaults["system_prompt"]}],
        "temperature": defaults["llm_temperature"],
        "max_tokens": defaults["llm_max_tokens"],
    }


def _app(folder: Path, env: dict[str, str], *arguments: str) -> str:
    command = [sys.executable, "-m", "app", *arguments]
    done = subprocess.run(
        command, cwd=folder, env=clean_environment() | env, capture_output=True, text=True, timeout=60, check=False
    )
    if done.returncode:
        raise ServerFailed(f"python -m app {arguments[0]} ended with {done.returncode}:\n{done.stderr[-2000:]}")
    return done.stdout


def _token(port: int, client_id: str, client_secret: str) -> str:
    form = {"grant_type": "client_credentials", "client_id": client_id, "client_secret": client_secret}
    status, document = _exchange(port, "POST", "/token", urlencode(form))
    if status != 200:
        raise ServerFailed(f"POST /token answered {status}.")
    return str(document["access_token"])


def _exchange(port: int, method: str, path: str, form: str | None = None) -> tuple[int, dict[str, Any]]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    try:
        connection.request(method, path, form, {"content-type": "application/x-www-form-urlencoded"} if form else {})
        answer = connection.getresponse()
        return answer.status, json.loads(answer.read())
    finally:
        connection.close()
