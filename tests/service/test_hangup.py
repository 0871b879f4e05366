"""SIGHUP to the parent: the security log is opened again, the policy file is read again by all workers, and that is recorded."""

from __future__ import annotations

import hashlib
import os
import signal
import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path

import httpx
import pytest

from ..support.calls import bearer
from ..support.fake_openai import FakeOpenAI
from ..support.service import HTTP, Service
from ..support.waiting import eventually

WORKERS = 2
MODELS = """
[servers.lab]
base_url = "{url}"
[models."{model}"]
server = "lab"
[models.small]
server = "lab"
"""


class Hangup:
    """A service with a models file, and what its callers see of it."""

    def __init__(self, service: Service, fake: FakeOpenAI) -> None:
        self.service, self.fake = service, fake
        self.token = service.token("alice", service.add_client())

    def offer(self, model: str, url: str | None = None) -> str:
        """Write another models file; its SHA-256."""
        text = MODELS.format(url=url or self.fake.base_url, model=model)
        (self.service.folder / "models.toml").write_text(text)
        return hashlib.sha256(text.encode()).hexdigest()

    def hang_up(self) -> None:
        assert self.service.process is not None
        self.service.process.send_signal(signal.SIGHUP)

    def offered(self) -> set[str]:
        """What the workers offer, all answers together; each has a connection of its own."""
        answers = [HTTP.get(self.service.url + "/v1/models", headers=bearer(self.token)) for _ in range(8 * WORKERS)]
        return {",".join(model["id"] for model in answer.json()["data"]) for answer in answers}

    def changes(self) -> list[dict[str, object]]:
        """Those recorded since the start, which records the policy that it begins with."""
        at_start, *since = [record["details"] for record in self.service.records() if record["action"] == "policy.changed"]
        assert (at_start["file"], at_start["previous"]) == ("models.toml", "")
        return since

    def policies(self) -> list[str]:
        """Of each question, the policy that its record names."""
        return [record["details"]["policy"] for record in self.service.records() if record["action"] == "ask.received"]

    def events(self) -> list[list[str]]:
        return [line.split(" ")[1:4] for line in (self.service.folder / "logs/security.log").read_text().splitlines()]


@pytest.fixture
def hangup(tmp_path: Path, fake: FakeOpenAI) -> Iterator[Hangup]:
    (tmp_path / "models.toml").write_text(MODELS.format(url=fake.base_url, model="one"))
    with Service(tmp_path, workers=WORKERS, MODELS_FILE="models.toml", LLM_MODEL="small", RATE_LIMIT="6000") as service:
        yield Hangup(service, fake)
        fake.reset()


def test_a_changed_models_file_is_recorded_and_then_used_by_all_workers(hangup: Hangup) -> None:
    first = hashlib.sha256((hangup.service.folder / "models.toml").read_bytes()).hexdigest()
    assert hangup.offered() == {"one,small"}
    second = hangup.offer("two")
    assert hangup.offered() == {"one,small"}, "only a SIGHUP changes it"
    hangup.hang_up()
    eventually(lambda: hangup.offered() == {"two,small"})
    assert hangup.changes() == [{"file": "models.toml", "sha256": second, "previous": first, "by": "operator"}]
    eventually(lambda: ["INFO", "policy_changed", f"sha256={second}"] in hangup.events())
    assert hangup.service.verify()["ok"]
    for pid in hangup.service.worker_pids():  # one that is started again has what the others have
        os.kill(pid, signal.SIGKILL)
    hangup.service.wait_ready()
    eventually(lambda: len(hangup.service.worker_pids()) == WORKERS)
    assert hangup.offered() == {"two,small"}


@pytest.mark.parametrize("text", ["[servers", "[models.x]\nserver = 'nowhere'", None])
def test_a_broken_models_file_changes_nothing_and_is_reported(hangup: Hangup, text: str | None) -> None:
    path = hangup.service.folder / "models.toml"
    path.unlink() if text is None else path.write_text(text)
    hangup.hang_up()
    eventually(lambda: any(event[:2] == ["ERROR", "policy_not_changed"] for event in hangup.events()))
    said = "The policy file was read again and nothing is changed: Policy file models.toml"
    eventually(lambda: said in hangup.service.output())  # a thread writes it
    assert (hangup.offered(), hangup.changes()) == ({"one,small"}, [])
    assert hangup.service.ask(hangup.token).status_code == 200
    hangup.offer("two")
    hangup.hang_up()
    eventually(lambda: hangup.offered() == {"two,small"})


def test_an_unchanged_models_file_is_no_change(hangup: Hangup) -> None:
    hangup.offer("one")
    os.utime(hangup.service.folder / "models.toml", (1, 1))
    hangup.hang_up()
    eventually(lambda: any(event[:2] == ["INFO", "policy_unchanged"] for event in hangup.events()))
    assert (hangup.offered(), hangup.changes()) == ({"one,small"}, [])


def test_a_question_keeps_the_server_that_it_began_with(hangup: Hangup) -> None:
    first = hashlib.sha256((hangup.service.folder / "models.toml").read_bytes()).hexdigest()
    body = {"model": "small", "messages": [{"role": "user", "content": "hi"}], "stream": True}
    hangup.fake.set(chunks=50, interval=0.1)
    url = hangup.service.url + "/v1/chat/completions"
    with httpx.stream("POST", url, json=body, headers=bearer(hangup.token), timeout=60) as answer:
        lines = answer.iter_lines()
        next(lines)
        second = hangup.offer("two", url="http://127.0.0.1:9/v1")
        hangup.hang_up()
        eventually(lambda: hangup.offered() == {"two,small"})
        assert list(lines)[-2:] == ["data: [DONE]", ""]
    assert hangup.service.ask(hangup.token).json()["code"] == "upstream_unavailable"
    assert hangup.policies() == [first[:16], second[:16]]


def test_the_security_log_is_opened_again(hangup: Hangup) -> None:
    log = hangup.service.folder / "logs/security.log"
    log.unlink()
    os.mkfifo(log)  # nobody reads it: who opens it hangs
    for _ in range(2 * WORKERS):
        assert hangup.service.ask(hangup.token).status_code == 200
    log.unlink()
    hangup.hang_up()
    eventually(log.exists)  # by the first worker that has heard of it; what the others still lose is told as lost
    eventually(lambda: is_told_of_all(hangup, 8 * WORKERS))
    assert log.stat().st_mode & 0o777 == 0o600


def is_told_of_all(hangup: Hangup, count: int) -> bool:
    """Whether each of *count* new answers has its line in the security log within a second."""

    def told() -> int:
        return sum(event[1] == "ask_answered" for event in hangup.events())

    before, ends = told(), time.monotonic() + 1
    for _ in range(count):
        assert hangup.service.ask(hangup.token).status_code == 200
    while told() < before + count and time.monotonic() < ends:
        time.sleep(0.01)
    return told() >= before + count


def test_many_hangups_at_once_end_in_the_newest_file(hangup: Hangup) -> None:
    for number in range(20):
        hangup.offer(f"model-{number}")
        hangup.hang_up()
        time.sleep(0.02)
    eventually(lambda: hangup.offered() == {"model-19,small"})
    digests = [
        hashlib.sha256(MODELS.format(url=hangup.fake.base_url, model=f"model-{n}").encode()).hexdigest() for n in range(20)
    ]
    changes = [str(change["sha256"]) for change in hangup.changes()]
    assert changes[-1] == digests[-1]
    assert sorted(map(digests.index, changes)) == list(map(digests.index, changes))


REFUSAL = b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}"


@contextmanager
def refusing_when_told() -> Iterator[tuple[str, threading.Event, threading.Event]]:
    """A server that has one question, and answers 503 once it is told to: its URL, "it has it", "answer now"."""
    has_it, now = threading.Event(), threading.Event()

    def serve() -> None:
        with suppress(OSError):
            taken, _ = listener.accept()
            with taken:
                taken.recv(65_536)
                has_it.set()
                now.wait(30)
                taken.sendall(REFUSAL)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(30)
        thread = threading.Thread(target=serve)
        thread.start()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}/v1", has_it, now
        now.set()
        thread.join()


FALLING_BACK = """
[servers.slow]
base_url = "{slow}"
[servers.lab]
base_url = "{url}"
[models.small]
server = "slow"
fallback = ["spare"]
[models.spare]
server = "lab"
[retries]
most = 0
"""


def test_a_question_falls_back_as_the_policy_says_that_it_began_with(hangup: Hangup) -> None:
    path = hangup.service.folder / "models.toml"
    with refusing_when_told() as (slow, has_it, now), ThreadPoolExecutor(1) as callers:
        text = FALLING_BACK.format(slow=slow, url=hangup.fake.base_url)
        path.write_text(text)
        hangup.hang_up()
        eventually(lambda: hangup.offered() == {"small,spare"})
        asked = callers.submit(hangup.service.ask, hangup.token)
        assert has_it.wait(30)
        path.write_text(text.replace('fallback = ["spare"]', "").replace("[models.spare]", "[models.other]"))
        hangup.hang_up()
        eventually(lambda: hangup.offered() == {"small,other"})
        now.set()
        answer = asked.result()
    assert (answer.status_code, answer.json()["model"]) == (200, "spare")
    assert hangup.policies() == [hashlib.sha256(text.encode()).hexdigest()[:16]]
