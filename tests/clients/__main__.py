"""`python -m tests.clients [--all] [NAME…]`: other people's clients against one service before the fake upstream.

A client is a program in its own environment with an API key of its own. It fails if it does not get the upstream's answers,
if it connects to anything but this machine (where that can be seen), or if not all of its calls are recorded. An agent must
also do its task: see `agent.py`. Exits with 1 if one failed.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from ..support.fake_openai import FakeOpenAI
from ..support.paths import ROOT
from ..support.service import Service
from .agent import Task
from .catalogue import CLIENTS, Client, path_of
from .recipe import follow
from .records import check_echoes, check_records

HOW = "`make clients` and `make clients-all` install what is needed, but node 18 or newer (Debian: apt-get install nodejs npm)"
SECONDS = 180
KEY = "sk-planted-key-0123456789"

ALIAS = "house"
MODELS = """
[servers.fake]
base_url = "{base_url}"
api_key_env = "OPENAI_API_KEY"
[models.{alias}]
server = "fake"
model = "the-upstreams-own-name"
aliases = ["gpt-4o-mini"]
"""

QUIET = {"LANGSMITH_TRACING": "false", "LANGCHAIN_TRACING_V2": "false", "DO_NOT_TRACK": "1", "HF_HUB_OFFLINE": "1"}
QUIET |= {"HAYSTACK_TELEMETRY_ENABLED": "False", "LITELLM_LOCAL_MODEL_COST_MAP": "True", "TIKTOKEN_CACHE_DIR": "/nonexistent"}
"""Switches off telemetry; `loopback_only` shows whether anything is sent elsewhere."""


def run(client: Client, service: Service, fake: FakeOpenAI, folder: Path) -> str | None:
    """Why it failed, if it did. Prints the output of client and service on a failure."""
    fake.reset()
    task = Task(client.agent) if client.agent else None
    if task:
        fake.set(agent=task.script())
    work = folder / "work"
    work.mkdir(parents=True)
    key = str(service.cli("clients", "add", client.name, "--key")["key"])
    command, own = prepare(client, task, folder, work, service.url, key)
    try:
        done = subprocess.run(
            command,
            cwd=work if client.recipe else ROOT,
            env={"PATH": path_of(client), "LANG": "C.UTF-8", "HOME": str(folder), **QUIET, **own},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=SECONDS,
        )
    except subprocess.TimeoutExpired:
        return f"it did not end within {SECONDS} s"
    reason = f"it ended with {done.returncode}" if done.returncode else None
    reason = reason or check(client, task, work, done.stdout, service, fake)
    if reason:
        print(done.stdout, done.stderr, service.output(), sep="\n", file=sys.stderr)
    return reason


def prepare(
    client: Client, task: Task | None, home: Path, work: Path, url: str, key: str
) -> tuple[Sequence[str], Mapping[str, str]]:
    """Its command, and what its environment must name."""
    if not (client.recipe and task):
        given = {"OPENAI_BASE_URL": url + "/v1", "OPENAI_API_KEY": key, "CLIENT_MODEL": ALIAS, "LLM_USER_PATH": str(home)}
        agents = {"CLIENT_TASK": task.text, "CLIENT_SAYS": task.says} if task else {}
        return client.command, {**given, **agents}
    subprocess.run(["git", "init", "-q"], cwd=work, check=True)
    typed = follow(client.recipe, home, work, url)
    return ("bash", "-ec", typed + 'exec "$@"', client.name, *client.command, task.text), {"SECURE_AI_KEY": key}


def check(client: Client, task: Task | None, work: Path, said: str, service: Service, fake: FakeOpenAI) -> str | None:
    records = [record for record in service.records() if record["user_id"] == client.name]
    reason = check_records(client.calls, records, fake.seen()["sha256"])
    if task is None:
        return reason or check_echoes(records)
    if client.recipe and task.says.strip() not in said:
        return f"it does not print {task.says!r}"
    if task.agent.streams and not fake.streams()["finished"]:
        return "it does not stream"
    return reason or task.check_work(work) or task.check_records(records)


def main(clients: Sequence[Client]) -> int:
    """The exit status."""
    if lack := next((client.lack for client in clients if client.lack), None):
        print(f"{lack}; {HOW}", file=sys.stderr)
        return 1
    failed = 0
    with tempfile.TemporaryDirectory(prefix="clients-") as work, FakeOpenAI(keep_digests=True) as fake:
        folder = Path(work)
        models = folder / "models.toml"
        models.write_text(MODELS.format(base_url=fake.base_url, alias=ALIAS))
        with Service(folder / "service", MODELS_FILE=str(models), LLM_MODEL=ALIAS, OPENAI_API_KEY=KEY) as service:
            for client in clients:
                started = time.monotonic()
                reason = run(client, service, fake, folder / client.name)
                failed += reason is not None
                took = time.monotonic() - started
                verdict = f"failed: {reason}" if reason else f"ok, {client.calls} calls, {took:.1f} s"
                print(f"{client.name:<16} {verdict}", flush=True)
            report = service.verify()
    print(f"audit verify {'ok' if report['ok'] else f'failed: {report}'}")
    print(f"{len(clients) - failed} passed, {failed} failed")
    return 1 if failed or not report["ok"] else 0


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m tests.clients", description=__doc__)
    known = [client.name for client in CLIENTS]
    parser.add_argument("--all", action="store_true", help="also those that `make clients` leaves out")
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(known)}; default: the light half")
    given = parser.parse_args()
    if unknown := set(given.names) - set(known):
        parser.error(f"{', '.join(sorted(unknown))}: none of {', '.join(known)}")
    sys.exit(main([one for one in CLIENTS if given.all or one.name in given.names or (one.is_light and not given.names)]))
