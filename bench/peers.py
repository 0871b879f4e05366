"""The compared servers: each has one worker, the same fake upstream and the same questions."""

from __future__ import annotations

import json
import os
import secrets
import statistics
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from app.settings import TEMPERATURE, Settings

from .before import BEFORE, extract_before
from .job import Job
from .notary import wait_until_signed
from .process import ROOT, Process, ServerFailed, free_port, running
from .service import MODEL, Service, exchange, set_up

STARTS = 3
CHAT_PATH = "/v1/chat/completions"


@dataclass(frozen=True)
class Peer:
    """A running server and how to ask it."""

    name: str
    process: Process
    port: int
    path: str
    bearer: str
    chat: dict[str, object] | None
    ready_seconds: float
    """Seconds from start to the first 200 of its readiness address; the median of several starts."""
    recover: Callable[[], None] = lambda: None
    """Waits until work left over by the last questions is done, so that it is measured."""
    receipt: bool = False
    """Whether its answers must carry a receipt."""

    def job(self, clients: int, seconds: float, chunks: int = 0) -> Job:
        """*chunks*: content chunks expected in each stream; 0: plain answers."""
        return Job(self.port, self.path, self.bearer, self.chat, self.receipt, chunks, clients, seconds)

    def at_v1(self, name: str) -> Peer:
        """The same server, asked as an OpenAI client does."""
        return replace(self, name=name, path=CHAT_PATH, chat=_chat())


@dataclass(frozen=True)
class Upstream:
    """The fast fake of the OpenAI protocol that all servers use."""

    port: int
    process: Process

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/v1"

    def peer(self) -> Peer:
        """The fake asked directly: no server in front of it can be faster."""
        return Peer("upstream", self.process, self.port, CHAT_PATH, "none", _chat(), 0.0)

    def calls(self) -> int:
        """The number of completions requested so far."""
        _, document = exchange(self.port, "GET", "/control/calls")
        return int(document["calls"])

    def pace(self, chunks: int | None, interval: float = 0.0, delay: float = 0.0) -> None:
        """Set the content chunks of a stream, and the seconds between them and before each answer; initially None and 0."""
        wanted = json.dumps({"mode": "ok", "chunks": chunks, "interval": interval, "delay": delay})
        status, _ = exchange(self.port, "POST", "/control/mode", wanted)
        if status != 200:
            raise ServerFailed(f"The fake upstream answered {status} to a change of its mode.")


@contextmanager
def open_upstream(folder: Path) -> Iterator[Upstream]:
    port = free_port()
    command = [sys.executable, "-m", "tests.support.fake_openai", "--port", str(port)]
    with running(Process("fake upstream", command, cwd=ROOT, env={}, log=folder / "upstream.log")) as process:
        process.wait_until_ready(port, "/control/calls", 20)
        yield Upstream(port, process)


@contextmanager
def open_service(folder: Path, upstream: Upstream) -> Iterator[Peer]:
    """(a) This service: every question authenticated, limited and recorded twice, durably, in *folder*."""
    with _open(set_up(folder / "service", upstream.url), "service", ("-m", "app", "serve"), starts=STARTS) as peer:
        yield peer


@contextmanager
def open_unsigned(folder: Path, upstream: Upstream) -> Iterator[Peer]:
    """The same without tree and signatures, to see what they cost."""
    with _open(set_up(folder / "unsigned", upstream.url), "unsigned", ("-m", "bench.unsigned")) as peer:
        yield peer


@contextmanager
def open_again(folder: Path, upstream: Upstream) -> Iterator[Peer]:
    """This service a second time: how far two figures of the same code differ."""
    with _open(set_up(folder / "again", upstream.url), "again", ("-m", "app", "serve")) as peer:
        yield peer


@contextmanager
def open_two(folder: Path, upstream: Upstream) -> Iterator[Peer]:
    """This service with two workers."""
    with _open(set_up(folder / "two", upstream.url), "two", ("-m", "app", "serve"), workers=2) as peer:
        yield peer


@contextmanager
def open_before(folder: Path, upstream: Upstream, revision: str = BEFORE) -> Iterator[Peer]:
    """The service at an earlier commit."""
    code = extract_before(folder / "before-code", revision)
    with _open(set_up(folder / "before", upstream.url, code), "before", ("-m", "app", "serve")) as peer:
        yield peer


@contextmanager
def _open(service: Service, name: str, starter: Sequence[str], *, starts: int = 1, workers: int = 1) -> Iterator[Peer]:
    def recover() -> None:
        if name == "service":
            wait_until_signed(service.log)

    seconds = []
    for left in reversed(range(starts)):
        with service.served(starter, workers) as (process, port, ready):
            seconds.append(ready)
            if left == 0:
                token, took = service.token(port), statistics.median(seconds)
                yield Peer(name, process, port, "/ask", token, None, took, recover, receipt=True)


@contextmanager
def open_starlette(folder: Path, upstream: Upstream) -> Iterator[Peer]:
    """(b) `forwarder.py`: the cost of Starlette and aiohttp alone."""
    port = free_port()
    command = [sys.executable, "-m", "bench.forwarder", str(port), upstream.url]
    with running(Process("Starlette", command, cwd=ROOT, env={}, log=folder / "starlette.log")) as process:
        ready = process.wait_until_ready(port, "/readyz", 30)
        yield Peer("starlette", process, port, CHAT_PATH, "none", _chat(), ready)


@contextmanager
def open_litellm(folder: Path, upstream: Upstream) -> Iterator[Peer]:
    """(c) LiteLLM's proxy with a master key and no database, configured for production as its manual says."""
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
        yield Peer("litellm", process, port, CHAT_PATH, key, _chat(), ready)


@contextmanager
def open_ferro(folder: Path, upstream: Upstream) -> Iterator[Peer]:
    """(d) Ferro's gateway, in Go, on one core, with its key and without its limit; it keeps no log of questions."""
    port, key = free_port(), f"fgw_{secrets.token_hex(16)}"
    (folder / "ferro.json").write_text('{"strategy": {"mode": "single"}, "targets": [{"virtual_key": "openai"}]}')
    env = {"GATEWAY_CONFIG": "ferro.json", "MASTER_KEY": key, "PORT": str(port), "LOG_LEVEL": "error", "GOMAXPROCS": "1"}
    env |= {"OPENAI_API_KEY": "sk-bench", "OPENAI_BASE_URL": upstream.url.removesuffix("/v1")}
    env |= {"RATE_LIMIT_RPS": "10000000", "RATE_LIMIT_BURST": "10000000"}
    with running(Process("Ferro", [str(ferro_executable()), "serve"], cwd=folder, env=env, log=folder / "ferro.log")) as process:
        ready = process.wait_until_ready(port, "/health", 60)
        yield Peer("ferro", process, port, CHAT_PATH, key, _chat(), ready)


Opener = Callable[[Path, Upstream], AbstractContextManager[Peer]]
OPENERS: dict[str, Opener] = {
    "service": open_service,
    "unsigned": open_unsigned,
    "again": open_again,
    "two": open_two,
    "before": open_before,
    "starlette": open_starlette,
    "litellm": open_litellm,
    "ferro": open_ferro,
}


def litellm_executable() -> Path:
    """From LITELLM, or the place that `make bench-peers` uses. It may not exist."""
    return Path(os.environ.get("LITELLM") or ROOT / ".venv-litellm/bin/litellm").absolute()


def ferro_executable() -> Path:
    """The place that `make bench-peers` uses. It may not exist."""
    return ROOT / ".venv-ferro/bin/ferrogw"


def _chat() -> dict[str, object]:
    """The request that the service sends upstream, so that the peers forward the same."""
    defaults = {name: field.default for name, field in Settings.model_fields.items()}
    return {
        "model": MODEL,
        "messages": [{"role": "system", "content": defaults["system_prompt"]}],
        "temperature": TEMPERATURE,
        "max_tokens": defaults["llm_max_tokens"],
    }
