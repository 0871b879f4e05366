"""The commands in README and the guides are run as shown, with another port and interpreter."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from ..support.fake_openai import FakeOpenAI
from ..support.optional import leave_out
from ..support.paths import ROOT
from ..support.service import Service, free_port
from ..support.waiting import eventually

README = (ROOT / "README.md").read_text()
TUTORIAL = (ROOT / "docs" / "tutorial" / "first-receipt.md").read_text()
CONNECT = (ROOT / "docs" / "how-to" / "connect-a-client.md").read_text()


def section_of(page: str, heading: str) -> str:
    return page.split(f"\n## {heading}\n", 1)[1].split("\n## ", 1)[0]


def blocks(text: str, language: str = "sh") -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", text, re.DOTALL)


def run_as_pasted(folder: Path, fake: FakeOpenAI, script: str) -> tuple[str, str]:
    """What the script writes to stdout and stderr, run in a folder like a clone. What it started is stopped at its end.

    Only the port changes, and `make install` is left out: what it installs is what runs this test.
    """
    if shutil.which("curl") is None:
        leave_out("there is no curl (Debian: apt-get install curl)")
    (folder / ".venv").symlink_to(sys.prefix)
    (folder / "tools").symlink_to(ROOT / "tools")
    script = "set -eu\n" + script.replace("make install\n", "").replace("8000", str(free_port()))
    env = {"PATH": os.environ["PATH"], "OPENAI_BASE_URL": fake.base_url, "LANG": "C.UTF-8"}
    shell = subprocess.Popen(
        ["bash", "-c", script], cwd=folder, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True
    )
    try:
        # The service in the background holds the pipes open, so the script's own end is waited for.
        status = shell.wait(120)
    finally:
        os.killpg(shell.pid, signal.SIGTERM)
        output, errors = (text.decode() for text in shell.communicate(timeout=60))
    assert status == 0, errors
    return output, errors


def test_run_it_in_the_readme_ends_with_answers_receipts_and_their_records(tmp_path: Path, fake: FakeOpenAI) -> None:
    output, errors = run_as_pasted(tmp_path, fake, "".join(blocks(section_of(README, "Run it"))))
    ready, answer, hello, header, *records = output[output.index("{") :].splitlines()
    assert json.loads(ready)["status"] == "ready", errors
    assert json.loads(answer)["receipt"]["seq"] == 4, errors
    assert re.search(r"\{'seq': 6, 'hash': '[0-9a-f]{64}'\}$", hello), errors
    assert header.split()[0] == "seq"
    assert [line.split()[2] for line in records[-4:]] == ["ask.received", "ask.answered"] * 2


def test_the_pages_run_one_after_the_other_in_the_shell_of_the_readme(tmp_path: Path, fake: FakeOpenAI) -> None:
    """Who has done what README shows pastes from the page on clients next."""
    pages = blocks(section_of(README, "Run it")) + blocks(section_of(CONNECT, "curl"))
    output, errors = run_as_pasted(tmp_path, fake, "".join(pages))
    assert "data: [DONE]" in output, errors
    assert "event: done" in output


def test_the_tutorial_ends_with_a_verified_receipt_and_a_found_change(tmp_path: Path, fake: FakeOpenAI) -> None:
    output, errors = run_as_pasted(tmp_path, fake, "".join(blocks(TUTORIAL)))
    assert json.loads((tmp_path / "answer.json").read_text())["receipt"]["seq"] == 4, errors
    assert "OK: this is record 4" in output
    assert "OK: 5 records" in output
    assert '"ok": true' in output, "the second verifier"
    stored, computed = re.findall(r"^[0-9a-f]{64}$", output, re.MULTILINE)
    assert stored == computed
    assert "record 3: " in output
    assert output.endswith("found, exit status 1\n")


@pytest.mark.parametrize("client", ["OpenAI", "Anthropic"])
def test_the_lines_for_any_sdk_end_in_the_receipt(service: Service, token: str, client: str) -> None:
    (code,) = blocks(section_of(CONNECT, f"Any {client} client"), "python")
    code = code.replace("http://localhost:8000", service.url)
    env = {**os.environ, "SECURE_AI_KEY": token}
    done = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert "echo" in done.stdout
    receipt = service.records()[-1]
    assert done.stdout.endswith(f"{{'seq': {receipt['seq']}, 'hash': '{receipt['hash']}'}}\n")


def test_every_curl_that_shows_a_json_answer_ends_its_line() -> None:
    """Streams end theirs themselves; what goes into a file or another program must stay as it came."""
    pages = [README, *(path.read_text() for path in sorted((ROOT / "docs").rglob("*.md")))]
    joined = "\n".join(pages).replace("\\\n", " ")
    shown = [
        line
        for line in joined.splitlines()
        if re.match(r"`?curl -s ", line.lstrip("|0123456789. ")) and not re.search(r" > | \| (?!tee)", line)
    ]
    assert shown
    assert [line for line in shown if "-w '\\n'" not in line] == []


def test_what_init_prints_as_the_next_commands_runs_as_printed(tmp_path: Path, fake: FakeOpenAI) -> None:
    """From an empty folder to a client who gets an answer, with nothing but what was printed."""
    (tmp_path / ".venv").symlink_to(sys.prefix)
    shutil.copy(ROOT / ".env.example", tmp_path / ".env")
    env = {"PATH": os.environ["PATH"], "OPENAI_BASE_URL": fake.base_url}

    def run(command: str) -> str:
        done = subprocess.run(["bash", "-c", command], cwd=tmp_path, env=env, capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, done.stderr
        return done.stdout

    add, serve = [line.strip() for line in run(".venv/bin/python -m app init").split("next:\n")[1].splitlines()]
    assert serve == ".venv/bin/python -m app serve"
    port = free_port()
    with (tmp_path / "serve.log").open("wb") as output:
        server = subprocess.Popen([*serve.split(), "--port", str(port)], cwd=tmp_path, env=env, stderr=output)
        try:
            eventually(lambda: add in (tmp_path / "serve.log").read_text())
            assert (tmp_path / "serve.log").read_text().rstrip().endswith(add), "the last line is what is missing"
            secret = re.search(r"client_secret +(\S+)", run(add))
            assert secret is not None
            login = f"SECURE_AI_CLIENT_SECRET={secret[1]} SECURE_AI_URL=http://127.0.0.1:{port}"
            token = run(f"{login} .venv/bin/python -m app token --client-id alice").strip()
            answer = run(f".venv/bin/python -m app ask Hello --token {token} --url http://127.0.0.1:{port}/v1")
            assert "echo" in answer
        finally:
            server.terminate()
            server.wait(60)
    assert run(".venv/bin/python -m app init").count("clients add") == 0, "there is a client now"
