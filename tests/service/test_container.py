"""The service as its image runs it: another user, read-only except for one volume, as process 1, without HOME."""

from __future__ import annotations

import json
import os
import pwd
import re
import shlex
import signal
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from ..support.dockerfile import last_stage
from ..support.fake_openai import FakeOpenAI, completion_text
from ..support.sandbox import Sandbox, children_of, end, first_process, need_namespaces
from ..support.service import READY_SECONDS, free_port
from ..support.waiting import eventually

APP = json.loads(last_stage()["ENTRYPOINT"])
CMD = json.loads(last_stage()["CMD"])


class Container:
    """`docker run` of the image, with the fake as its upstream."""

    def __init__(self, folder: Path, fake: FakeOpenAI, shm: str = "64m") -> None:
        need_namespaces()
        image = dict(word.split("=", 1) for word in shlex.split(last_stage()["ENV"]) if not word.startswith("PATH="))
        self.box = Sandbox(folder, shm=shm, OPENAI_BASE_URL=fake.base_url, **image)
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"

    def cli(self, *arguments: str, status: int = 0) -> str:
        return self.box.run(*APP, *arguments, status=status)

    @contextmanager
    def serving(self) -> Iterator[subprocess.Popen[str]]:
        """The image's own CMD, on a port of its own; `docker stop` at the end."""
        outer = self.box.start(*APP, *CMD[:-1], str(self.port))
        try:
            self.wait_ready()
            yield outer
        finally:
            if outer.poll() is None:
                os.kill(first_process(outer), signal.SIGTERM)
            try:
                print(outer.communicate(timeout=60)[1])
            finally:
                end(outer)

    def wait_ready(self) -> None:
        deadline = time.monotonic() + READY_SECONDS
        while not self.is_ready():
            assert time.monotonic() < deadline, "not ready"
            time.sleep(0.05)

    def is_ready(self) -> bool:
        try:
            return httpx.get(self.url + "/readyz", timeout=2).status_code == 200
        except httpx.HTTPError:
            return False

    def is_healthy(self) -> bool:
        """What the image's HEALTHCHECK says."""
        command = json.loads(last_stage()["HEALTHCHECK"].partition("CMD ")[2])
        command[-1] = command[-1].replace("8000", str(self.port))
        try:
            self.box.run(*command)
        except AssertionError:
            return False
        return True

    def token(self) -> str:
        client = json.loads(self.cli("clients", "add", "alice", "--role", "ai.playground.user", "--json"))
        form = {"grant_type": "client_credentials"}
        response = httpx.post(self.url + "/token", data=form, auth=(client["client_id"], client["client_secret"]))
        return str(response.json()["access_token"])

    def ask(self, token: str, query: str = "hello") -> httpx.Response:
        headers = {"Authorization": f"Bearer {token}"}
        return httpx.post(self.url + "/ask", json={"query": query}, headers=headers, timeout=60)


@pytest.mark.parametrize("shm", ["64m", "0"], ids=["with /dev/shm", "with /tmp only"])
def test_it_works_with_a_read_only_root_and_one_volume(fake: FakeOpenAI, tmp_path: Path, shm: str) -> None:
    container = Container(tmp_path, fake, shm)
    container.cli("init")
    with container.serving():
        assert container.is_healthy()
        answer = container.ask(container.token())
        assert answer.status_code == 200, answer.text
        assert answer.json()["answer"] == completion_text("hello")
    assert not container.is_healthy()
    assert json.loads(container.cli("audit", "verify", "--json"))["ok"]
    inside = {str(path.relative_to(container.box.volume)) for path in container.box.volume.rglob("*")}
    assert {".env", "logs/audit_log.jsonl", "logs/clients.sqlite3"} <= inside


def test_no_process_can_be_read_by_another_of_its_user(fake: FakeOpenAI, tmp_path: Path) -> None:
    """What is not dumpable belongs to root in /proc, and its user may not read its environment or memory."""
    container = Container(tmp_path, fake)
    container.cli("init")
    with container.serving() as outer:
        (first,) = children_of(outer.pid)
        pids = [first, *children_of(first)]
        assert len(pids) == 4  # the parent, a worker, the notary process, the index
        assert {os.stat(f"/proc/{pid}/environ").st_uid for pid in pids} == {0}
        limits = [Path(f"/proc/{pid}/limits").read_text() for pid in pids]
        assert all(re.search(r"Max core file size +0 +0 ", text) for text in limits)


def test_the_volume_is_all_that_can_be_written(fake: FakeOpenAI, tmp_path: Path) -> None:
    box = Container(tmp_path, fake).box
    for place in ("/mnt/app/x", "/mnt/x", "/etc/x", "/x", "/var/tmp/x"):
        box.run("sh", "-c", f": > {place}", status=2)
    assert box.run("sh", "-c", ": > /srv/x && : > /tmp/x && id -u && grep CapEff /proc/self/status && echo ${HOME-no home}") == (
        "10001\nCapEff:\t0000000000000000\nno home\n"
    )


def test_an_audit_path_that_this_user_cannot_write_is_refused(fake: FakeOpenAI, tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    box = Container(tmp_path / "mine", fake).box
    closed = pwd.getpwuid(0).pw_dir  # a folder that this user may not list
    for path, target in {"/mnt/audit.jsonl": "/mnt", f"{closed}/logs/audit.jsonl": closed, "/etc/passwd": "/etc/passwd"}.items():
        told = box.run("sh", "-c", f"AUDIT_LOG_PATH={path} python -m app init 2>&1", status=2)
        assert told.startswith(f"AUDIT_LOG_PATH {path} cannot be written by this user: change it, or the rights of {target}")
    assert [file.name for file in box.volume.iterdir()] == [".env"]


def test_stopping_finishes_what_is_in_flight(fake: FakeOpenAI, tmp_path: Path) -> None:
    container = Container(tmp_path, fake)
    container.cli("init")
    answers: list[httpx.Response] = []
    with container.serving() as outer:
        token = container.token()
        fake.reset()
        fake.set("ok", delay=1.5)
        asking = threading.Thread(target=lambda: answers.append(container.ask(token)))
        asking.start()
        eventually(lambda: fake.calls() == 1)
        os.kill(first_process(outer), signal.SIGTERM)
        asking.join(60)
        status = outer.wait(60)
    fake.reset()
    assert [answer.status_code for answer in answers] == [200]
    assert status == 0


def test_it_can_be_stopped_while_it_starts(fake: FakeOpenAI, tmp_path: Path) -> None:
    """The kernel drops a signal for process 1 before it has a handler; the stop must still work before SIGKILL."""
    container = Container(tmp_path, fake)
    container.cli("init")
    outer = container.box.start(*APP, *CMD[:-1], str(container.port))
    try:
        eventually(lambda: has_begun(outer))
        os.kill(first_process(outer), signal.SIGTERM)
        assert outer.wait(30) == 0
    finally:
        end(outer)


def has_begun(outer: subprocess.Popen[str]) -> bool:
    """Whether process 1 is our parent process and has started its first child, which reads the settings."""
    first = children_of(outer.pid)
    return bool(first) and Path(f"/proc/{first[0]}/comm").read_text() == "python\n" and bool(children_of(first[0]))
