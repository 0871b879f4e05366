"""One client's run against the service, and why it failed, if it did."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from ..support.fake_openai import FakeOpenAI
from ..support.paths import ROOT
from ..support.service import Service
from .agent import GATE, Task
from .catalogue import Client
from .mid_run import MidRun
from .recipe import follow
from .records import check_echoes, check_records, credentials, seconds

ALIAS = "house"
KEY = "sk-planted-key-0123456789"
MODELS = """
[servers.fake]
base_url = "{base_url}"
api_key_env = "OPENAI_API_KEY"
[models.{alias}]
server = "fake"
model = "the-upstreams-own-name"
aliases = ["gpt-4o-mini"]
"""
SECONDS = 600
LIFE_SECONDS = 20
"""Of a token."""
LONG_SECONDS = 25
"""All answers to a client that must run for longer."""

QUIET = {"LANGSMITH_TRACING": "false", "LANGCHAIN_TRACING_V2": "false", "DO_NOT_TRACK": "1", "HF_HUB_OFFLINE": "1"}
QUIET |= {"HAYSTACK_TELEMETRY_ENABLED": "False", "LITELLM_LOCAL_MODEL_COST_MAP": "True"}
"""Switches off telemetry; `loopback_only` shows whether anything is sent elsewhere."""


@contextmanager
def live_service() -> Iterator[tuple[Service, FakeOpenAI, Path]]:
    """A service before the fake upstream, and a folder."""
    with tempfile.TemporaryDirectory(prefix="clients-") as work, FakeOpenAI(keep_digests=True) as fake:
        models = Path(work) / "models.toml"
        models.write_text(MODELS.format(base_url=fake.base_url, alias=ALIAS))
        with Service(Path(work) / "service", MODELS_FILE=str(models), LLM_MODEL=ALIAS, OPENAI_API_KEY=KEY) as service:
            yield service, fake, Path(work)


def end_daemons(home: Path) -> None:
    """What a client leaves running in its *home*, as Cline does."""
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            if f"HOME={home}\0".encode() in (process / "environ").read_bytes():
                os.kill(int(process.name), signal.SIGKILL)


@dataclass(frozen=True)
class Run:
    client: Client
    service: Service
    fake: FakeOpenAI
    folder: Path

    @cached_property
    def task(self) -> Task | None:
        return Task(self.client.agent) if self.client.agent else None

    @property
    def work(self) -> Path:
        return self.folder / "work"

    @cached_property
    def key(self) -> Mapping[str, Any]:
        """A client with one, registered when it is first asked for."""
        life = ["--token-lifetime", f"{LIFE_SECONDS}s"] if self.client.is_long else []
        return dict(self.service.cli("clients", "add", self.client.name, "--key", *life))

    @cached_property
    def mid_run(self) -> MidRun | None:
        return MidRun(self.service, self.key, self.work / GATE) if self.client.is_cut else None

    @property
    def note(self) -> str:
        """What else is to be said of a run that went well."""
        return f", refused {self.mid_run.seconds():.2f} s after the revocation" if self.mid_run else ""

    def reason(self) -> str | None:
        """Why it failed, if it did. Prints the output of client and service on a failure."""
        self.fake.reset()
        self.work.mkdir(parents=True)
        subprocess.run(["git", "init", "-q"], cwd=self.work, check=True)
        command, env = self._command(), self._environment()
        if self.task:
            self.fake.set(agent=self.task.script(), delay=LONG_SECONDS / self.client.calls if self.client.is_long else 0.0)
        try:
            done = self._run(command, env, self.work if self.client.recipe else ROOT)
        except subprocess.TimeoutExpired:
            return f"it did not end within {SECONDS} s"
        finally:
            end_daemons(self.folder)
        is_wrong = done.returncode and not self.mid_run
        reason = f"it ended with {done.returncode}" if is_wrong else self._problem(done.stdout, done.stderr)
        if reason:
            print(done.stdout, done.stderr, self.service.output(), sep="\n", file=sys.stderr)
        return reason

    def _run(self, command: Sequence[str], env: Mapping[str, str], where: Path) -> subprocess.CompletedProcess[str]:
        pipe, end = subprocess.PIPE, time.monotonic() + SECONDS
        with subprocess.Popen(
            command, cwd=where, env=env, stdin=subprocess.DEVNULL, stdout=pipe, stderr=pipe, text=True
        ) as process:
            while True:
                try:
                    out, err = process.communicate(timeout=0.1)
                    return subprocess.CompletedProcess(command, process.returncode, out, err)
                except subprocess.TimeoutExpired:
                    if time.monotonic() > end:
                        process.kill()
                        raise
                if self.mid_run:
                    self.mid_run.look()

    def _command(self) -> Sequence[str]:
        if not self.client.recipe:
            return self.client.command
        typed = follow(self.client.recipe, self.folder, self.work, self.service.url)
        return ("bash", "-ec", typed + 'exec "$@" "$CLIENT_TASK"', self.client.name, *self.client.command)

    def _environment(self) -> Mapping[str, str]:
        """What its recipe sets is left out."""
        client, url = self.client, self.service.url
        env = {"PATH": client.path, "LANG": "C.UTF-8", "HOME": str(self.folder), "CLIENT_MODEL": ALIAS, **QUIET}
        if self.task:
            env |= {"CLIENT_TASK": self.task.text, "CLIENT_SAYS": self.task.says}
        given = {"OPENAI_BASE_URL": url + "/v1", "OPENAI_API_KEY": self.key["key"], "LLM_USER_PATH": str(self.folder)}
        if client.renews:
            env |= {"SECURE_AI_CLIENT_ID": client.name, "SECURE_AI_CLIENT_SECRET": self.key["client_secret"]}
            env |= {"PATH": f"{self._install()}:{client.path}", "PYTHONPATH": f"{ROOT}:{self.work}"}
            return env | given | {"OPENAI_API_KEY": "unused"}
        if self.mid_run:
            env |= {"CLIENT_GATE": str(self.mid_run.gate)}
        return env | ({"SECURE_AI_KEY": self.key["key"]} if client.recipe else given)

    def _install(self) -> Path:
        """The folder of our own command, which a recipe may run."""
        program = self.folder / "bin" / "secure-ai-assistant"
        program.parent.mkdir()
        program.write_text(f'#!/bin/sh\nPYTHONPATH={ROOT} exec {sys.executable} -m app "$@"\n')
        program.chmod(0o700)
        return program.parent

    def _problem(self, said: str, warned: str) -> str | None:
        """The first thing that is wrong after a client that ended as it should."""
        records = [one for one in self.service.records() if one["user_id"] == self.client.name and one["action"] != "key.revoked"]
        reason = check_records(self.client.calls, records, self.fake.seen()["sha256"])
        if self.task is None:
            return reason or check_echoes(records)
        if self.client.is_long and seconds(records) < LIFE_SECONDS:
            return f"it ran for {seconds(records):.0f} s only"
        if self.task.agent.streams and not self.fake.streams()["finished"]:
            return "it does not stream"
        reason = reason or self.task.check_work(self.work) or self.task.check_records(records, bool(self.mid_run))
        if self.mid_run:
            return reason or self.mid_run.problem(said + warned)
        if self.client.recipe and self.task.says.strip() not in said:
            return f"it does not print {self.task.says!r}"
        if self.client.renews and len(credentials(records)) < 2:
            return "it did not renew its token"
        return reason
