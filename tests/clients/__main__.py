"""`python -m tests.clients [NAME…]`, run by `make clients`: all clients against one service before the fake upstream.

A client is a program in its own environment with its own name in the log. It fails if it does not get the upstream's
answers, if it connects to anything but this machine, or if not all of its calls are recorded. Exits with 1 if one failed.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ..support.fake_openai import FakeOpenAI
from ..support.paths import ROOT
from ..support.service import Service
from .records import check_records

NODE_FOLDER = Path(__file__).parent / "node"
THEIR_PYTHON = ROOT / ".venv-clients" / "bin" / "python"
HOW = "`make clients` installs what is needed (node 18 or newer must be there: Debian: apt-get install nodejs npm)"
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
"""

QUIET = {"LANGSMITH_TRACING": "false", "LANGCHAIN_TRACING_V2": "false", "DO_NOT_TRACK": "1"}
"""Switches off telemetry; `loopback_only` shows whether anything is sent elsewhere."""


@dataclass(frozen=True, slots=True)
class Client:
    """*calls*: the expected number of model calls, so that an unexpected retry is noticed."""

    name: str
    command: Sequence[str]
    calls: int


def _python(interpreter: str | Path, script: str) -> Sequence[str]:
    return (str(interpreter), "-m", "tests.clients.loopback_only", f"tests.clients.{script}")


def _node(script: str) -> Sequence[str]:
    return ("node", "--import", (NODE_FOLDER / "loopback_only.mjs").as_uri(), str(NODE_FOLDER / script))


CLIENTS = (
    Client("langchain", _python(sys.executable, "langchain_chat"), 15),
    Client("llama-index", _python(THEIR_PYTHON, "llama_index_chat"), 8),
    Client("instructor", _python(THEIR_PYTHON, "instructor_chat"), 8),
    Client("llm", _python(THEIR_PYTHON, "llm_chat"), 7),
    Client("ai-sdk", _node("ai_sdk.mjs"), 9),
)


def run(client: Client, service: Service, fake: FakeOpenAI, folder: Path) -> str | None:
    """Why it failed, if it did. Prints the output of client and service on a failure."""
    fake.reset()
    folder.mkdir()
    token = service.token(client.name, service.add_client(client.name))
    given = {"OPENAI_BASE_URL": service.url + "/v1", "OPENAI_API_KEY": token, "CLIENT_MODEL": ALIAS}
    own = {"PATH": os.environ["PATH"], "LANG": "C.UTF-8", "HOME": str(folder), "LLM_USER_PATH": str(folder)}
    try:
        done = subprocess.run(client.command, cwd=ROOT, env=own | QUIET | given, capture_output=True, text=True, timeout=SECONDS)
    except subprocess.TimeoutExpired:
        return f"it did not end within {SECONDS} s"
    if done.returncode != 0:
        print(done.stdout, done.stderr, service.output(), sep="\n", file=sys.stderr)
        return f"it ended with {done.returncode}"
    return check_records(client.name, client.calls, service.records(), fake.seen()["sha256"])


def missing() -> str | None:
    if not THEIR_PYTHON.exists():
        return f"there is no {THEIR_PYTHON}"
    if shutil.which("node") is None:
        return "there is no node"
    if not (NODE_FOLDER / "node_modules" / "ai").is_dir():
        return f"nothing is installed in {NODE_FOLDER}"
    return None


def main(wanted: Sequence[str]) -> int:
    """The exit status."""
    if lack := missing():
        print(f"{lack}; {HOW}", file=sys.stderr)
        return 1
    clients = [client for client in CLIENTS if not wanted or client.name in wanted]
    failed = 0
    with tempfile.TemporaryDirectory(prefix="clients-") as work, FakeOpenAI(keep_digests=True) as fake:
        folder = Path(work)
        models = folder / "models.toml"
        models.write_text(MODELS.format(base_url=fake.base_url, alias=ALIAS))
        with Service(folder / "service", MODELS_FILE=str(models), LLM_MODEL=ALIAS, OPENAI_API_KEY=KEY) as service:
            for client in clients:
                reason = run(client, service, fake, folder / client.name)
                failed += reason is not None
                print(f"{client.name:<12} {f'failed: {reason}' if reason else f'ok, {client.calls} calls'}", flush=True)
            verdict = service.verify()
    print(f"audit verify {'ok' if verdict['ok'] else f'failed: {verdict}'}")
    print(f"{len(clients) - failed} passed, {failed} failed")
    return 1 if failed or not verdict["ok"] else 0


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m tests.clients", description=__doc__)
    known = [client.name for client in CLIENTS]
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(known)}; default all")
    names = parser.parse_args().names
    if unknown := set(names) - set(known):
        parser.error(f"{', '.join(sorted(unknown))}: none of {', '.join(known)}")
    sys.exit(main(names))
